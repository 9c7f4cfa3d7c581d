"""Question banks: GIFT, Moodle XML and sheets of questions."""

from contextlib import suppress

import pytest
from hypothesis import given, settings, strategies as st

from content.importers import gift, moodle_xml, question_sheet
from content.importers.outlines import ImporterError
from content.kinds import Kind


def gift_of(text):
    return gift.read(text.encode(), "Bank")


def xml_of(*questions):
    return moodle_xml.read(f"<quiz>{''.join(questions)}</quiz>".encode(), "Bank")


def sheet_of(text, name="questions.csv"):
    return question_sheet.read(text.encode(), "Bank", name)


def stages(outline):
    """The stages of all lessons: type and config."""
    return [
        (stage["type"], stage["config"])
        for lesson in outline.nodes
        for stage in lesson["stages"]
    ]


def only(outline):
    """The type and the content of the only question; nothing is lost."""
    [(kind, config)] = stages(outline)
    return kind, config["questions"][0] if "questions" in config else config


def losses(outline):
    return [(loss.place, loss.reason) for loss in outline.losses]


# --- GIFT ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind", "content"),
    [
        (
            "::N:: 2 + 2? {=4 ~3 ~5}",
            "Quiz",
            {
                "prompt": "<p>2 + 2?</p>",
                "options": [
                    {"text": "4", "correct": True},
                    {"text": "3"},
                    {"text": "5"},
                ],
            },
        ),
        (
            "Primes? {~%50%2 ~%50%3 ~%-100%4}",
            "Quiz",
            {
                "prompt": "<p>Primes?</p>",
                "options": [
                    {"text": "2", "correct": True},
                    {"text": "3", "correct": True},
                    {"text": "4"},
                ],
            },
        ),
        (
            "الأرض كروية {T}",
            "Quiz",
            {
                "prompt": "<p>الأرض كروية</p>",
                "options": [{"text": "صواب", "correct": True}, {"text": "خطأ"}],
            },
        ),
        (
            "The capital is {=Paris =paris =the\\=city}.",
            "FillIn",
            {
                "prompt": "<p>The capital is _____ .</p>",
                "gaps": [{"answers": ["Paris", "the=city"]}],
            },
        ),
        (
            "Pi? {#3.14:0.01 ####It is $$\\\\pi$$.}",
            "FillIn",
            {
                "prompt": "<p>Pi?</p>",
                "gaps": [{"answers": ["3.14"], "tolerance": 0.01}],
                "explanation": "<p>It is \\(\\pi\\).</p>",
            },
        ),
        (
            "Between? {#1..5}",
            "FillIn",
            {
                "prompt": "<p>Between?</p>",
                "gaps": [{"answers": ["3"], "tolerance": 2.0}],
            },
        ),
        (
            "Match {\n=cat -> meow\n=dog -> woof\n}",
            "Matching",
            {
                "prompt": "Match",
                "pairs": [
                    {"left": "cat", "right": "meow"},
                    {"left": "dog", "right": "woof"},
                ],
            },
        ),
        (
            "[markdown]Write *much*. {####Like this.}",
            "OpenAnswer",
            {
                "prompt": "<p>Write <em>much</em>.</p>",
                "model_answer": "<p>Like this.</p>",
            },
        ),
        ("Only read.", "Text", {"format": "html", "body": "<p>Only read.</p>"}),
    ],
)
def test_a_gift_question_becomes_a_stage_of_its_kind(text, kind, content):
    outline = gift_of(text)
    assert only(outline) == (kind, content)
    assert losses(outline) == []


def test_gift_categories_are_lessons_and_comments_are_skipped():
    outline = gift_of(
        "// about sets\n$CATEGORY: $course$/top/Algebra/Sets\n\na {T}\n\nb {F}\n\n"
        "$CATEGORY: Other\n// more\nc {T}"
    )
    assert outline.kind is Kind.LESSON
    counts = {
        lesson["title"]: len(lesson["stages"][0]["config"]["questions"])
        for lesson in outline.nodes
    }
    assert counts == {"Algebra › Sets": 2, "Other": 1}


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        (
            "\n::A:: x {=a",
            "line 2, question 1 “A”",
            "a brace has no counterpart; write \\{ for a brace itself",
        ),
        (
            "one {T}\n\n\nWild {=*}",
            "line 4, question 2 “Wild”",
            "none of its answers is a text without * that counts fully",
        ),
        ("x {~a ~b}", "line 1, question 1 “x”", "must have a correct option"),
        ("x {#a}", "line 1, question 1 “x”", "“a” is not a number"),
        (
            "x {#=1:1 =2:2}",
            "line 1, question 1 “x”",
            "its answers have different tolerances",
        ),
        ("x {a}", "line 1, question 1 “x”", "its answers do not begin with = or ~"),
        (
            "x {=a} {=b}",
            "line 1, question 1 “x”",
            "it has more than one part in braces",
        ),
        (
            "\\(\\frac\\{1\\)? {T}",
            "line 1, question 1 “\\(\\frac{1\\)?”",
            "the formula “\u2066\\frac{1\u2069” is not valid: a brace is not closed",
        ),
    ],
)
def test_a_gift_question_that_cannot_be_kept_is_named_with_its_reason(
    text, place, reason
):
    assert (place, f"the question is left out: {reason}") in losses(gift_of(text))


def test_what_a_kept_gift_question_loses_is_named():
    outline = gift_of("::A:: x {=<b>y</b>#good ~%50%z}")
    assert losses(outline) == [
        ("line 1, question 1 “A”", "answers are plain text here; removed: <b>"),
        ("line 1, question 1 “A”", "not kept: the feedback of single answers"),
        ("line 1, question 1 “A”", "not kept: the points of partly right answers"),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "The file contains no question."),
        (b"a {T}\n\n\xff", "The file is not UTF-8 text (line 3). Save it as UTF-8."),
        (b"a\0", "The file contains the character U+0000 (line 1)."),
    ],
)
def test_a_file_that_is_no_gift_is_refused(data, message):
    with pytest.raises(ImporterError) as refused:
        gift.read(data, "Bank")
    assert refused.value.message == message


# --- Moodle XML -----------------------------------------------------------------------


def question(kind, inside, name="Q", text="Why?"):
    return (
        f'<question type="{kind}"><name><text>{name}</text></name><questiontext '
        f'format="html"><text><![CDATA[{text}]]></text></questiontext>{inside}</question>'
    )


def answer(text, fraction=100, inside=""):
    return f'<answer fraction="{fraction}"><text>{text}</text>{inside}</answer>'


@pytest.mark.parametrize(
    ("source", "kind", "content"),
    [
        (
            question(
                "multichoice",
                f"<single>false</single>{answer('a', 50)}{answer('b', 50)}{answer('c', 0)}"
                "<generalfeedback><text>So</text></generalfeedback>",
            ),
            "Quiz",
            {
                "prompt": "Why?",
                "options": [
                    {"text": "a", "correct": True},
                    {"text": "b", "correct": True},
                    {"text": "c"},
                ],
                "explanation": "<p>So</p>",
            },
        ),
        (
            question("truefalse", answer("true", 0) + answer("false")),
            "Quiz",
            {
                "prompt": "Why?",
                "options": [{"text": "True"}, {"text": "False", "correct": True}],
            },
        ),
        (
            question("shortanswer", f"<usecase>1</usecase>{answer('Paris')}"),
            "FillIn",
            {"prompt": "Why?", "gaps": [{"answers": ["Paris"], "exact": True}]},
        ),
        (
            question("numerical", answer("9.81", inside="<tolerance>0.1</tolerance>")),
            "FillIn",
            {"prompt": "Why?", "gaps": [{"answers": ["9.81"], "tolerance": 0.1}]},
        ),
        (
            question(
                "matching",
                "<subquestion><text>a</text><answer><text>1</text></answer></subquestion>"
                "<subquestion><text>b</text><answer><text>2</text></answer></subquestion>",
            ),
            "Matching",
            {
                "prompt": "Why?",
                "pairs": [{"left": "a", "right": "1"}, {"left": "b", "right": "2"}],
            },
        ),
        (
            question("essay", "<graderinfo><text>Since</text></graderinfo>"),
            "OpenAnswer",
            {"prompt": "Why?", "model_answer": "<p>Since</p>"},
        ),
        (
            question(
                "cloze",
                "",
                text="The {1:SHORTANSWER:=sun~%100%Sol#x~moon} is {2:NM:=150:5} Gm.",
            ),
            "FillIn",
            {
                "prompt": "The ___ is ___ Gm.",
                "gaps": [
                    {"answers": ["sun", "Sol"]},
                    {"answers": ["150"], "tolerance": 5.0},
                ],
            },
        ),
    ],
)
def test_a_moodle_question_becomes_a_stage_of_its_kind(source, kind, content):
    outline = xml_of(source)
    assert only(outline) == (kind, content)
    assert losses(outline) == []


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (question("ddwtos", ""), "questions of the type “ddwtos” are not supported"),
        (
            question("cloze", "", text="{1:MULTICHOICE:=a~b}"),
            "gaps of the type “MULTICHOICE” are not supported",
        ),
        (
            question("multichoice", answer("a", "x") + answer("b", 0)),
            "“x” is not a number",
        ),
        (
            question("numerical", answer("1", inside="<tolerance>nan</tolerance>")),
            "“nan” is not a number",
        ),
    ],
)
def test_a_moodle_question_that_cannot_be_kept_is_named_with_its_reason(source, reason):
    assert losses(xml_of(source)) == [
        ("question 1 “Q”", f"the question is left out: {reason}")
    ]


def test_a_picture_of_a_moodle_question_becomes_a_file():
    text = '<p><img src="@@PLUGINFILE@@/a%20b.png" alt="x"></p>'
    file = '<file name="a b.png" path="/" encoding="base64">aGVsbG8=</file>'
    source = question("essay", "", text=text).replace(
        "</questiontext>", f"{file}</questiontext>"
    )
    outline = xml_of(source)
    _kind, content = only(outline)
    assert content["prompt"] == '<p><img src="question-1/0-a%20b.png" alt="x"></p>'
    assert outline.files == {"question-1/0-a b.png": b"hello"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"<quiz>\n<question></quiz>",
            "The file is not XML: line 2, column 12: mismatched tag: line 2, column 12",
        ),
        (
            b'<!DOCTYPE quiz [<!ENTITY a "b">]><quiz>&a;</quiz>',
            "The file has a document type declaration, which is not allowed.",
        ),
        (
            b"<html></html>",
            "The file is not Moodle XML: its first element is <html>, not <quiz>.",
        ),
        (b"<quiz></quiz>", "The file contains no question."),
    ],
)
def test_a_file_that_is_no_moodle_xml_is_refused(data, message):
    with pytest.raises(ImporterError) as refused:
        moodle_xml.read(data, "Bank")
    assert refused.value.message == message


# --- Sheets -----------------------------------------------------------------------------


def test_a_sheet_creates_units_to_lessons_with_questions_by_arabic_headers():
    outline = sheet_of(
        "الوحدة,الموضوع,الدرس,وصف الدرس,السؤال,الإجابة الصحيحة,الإجابات الخاطئة\n"
        "القوى,الدفع,التعريف,ما هي القوة؟,ما وحدة القوة؟,نيوتن,جول|واط\n"
        ",,,,عاصمة الأردن ___,عمّان|عمان الكبرى,\n"
        ",,درس فارغ,,,,\n"
    )
    assert outline.kind is Kind.UNIT
    [unit] = outline.nodes
    [topic] = unit["topics"]
    first, empty = topic["lessons"]
    assert (unit["title"], topic["title"]) == ("القوى", "الدفع")
    assert (first["title"], first["description"]) == ("التعريف", "ما هي القوة؟")
    assert [stage["type"] for stage in first["stages"]] == ["Quiz", "FillIn"]
    assert empty == {"title": "درس فارغ", "stages": []}


def test_the_type_of_a_row_is_the_named_one_or_follows_from_its_answers():
    outline = sheet_of(
        "type,question,correct,wrong,tolerance\n"
        "matching,Match,a = 1|b = 2,,\n"
        "توصيل,صل,أ = 1|ب = 2,,\n"
        ",Why?,,,\n"
        ",g?,9.81,,0.1\n"
        "open answer,Explain,The model,,\n"
    )
    assert [kind for kind, _config in stages(outline)] == [
        "Matching",
        "Matching",
        "OpenAnswer",
        "FillIn",
    ]
    assert outline.losses == []


def test_a_row_that_cannot_be_kept_is_named():
    outline = sheet_of("question,type,correct,x\na,poem,b,c\nd,quiz,e,\n")
    assert losses(outline) == [
        ("column “x”", "is unknown and is ignored"),
        (
            "row 2",
            "the question is left out: “poem” is no type; write one of: quiz, fill-in, "
            "matching, open answer, text",
        ),
        (
            "row 3",
            "the question is left out: must contain at least 2 options",
        ),
    ]


# --- Any bytes ------------------------------------------------------------------------


MARKS = st.text(alphabet="{}=~#%:\\/$-> \n٣a1.*[]_", max_size=80)


@given(text=MARKS)
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_as_gift_or_refused(text):
    try:
        outline = gift.read(text.encode(), "Bank")
    except ImporterError:
        return
    assert outline.nodes or outline.losses


@given(
    kind=st.sampled_from(
        ["cloze", "numerical", "shortanswer", "multichoice", "matching"]
    ),
    text=MARKS,
    fraction=st.text(max_size=4),
)
@settings(max_examples=200, deadline=None)
def test_any_texts_in_moodle_xml_are_read_or_named(kind, text, fraction):
    def escaped(value):
        shown = "".join(char for char in value if char.isprintable() or char == "\n")
        return shown.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")

    source = question(
        kind, answer(escaped(text), escaped(fraction)), text=text.replace("]]>", "")
    )
    outline = xml_of(source)
    assert outline.nodes or outline.losses


@given(data=st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_read_or_refused(data):
    for read in (gift.read, moodle_xml.read):
        with suppress(ImporterError):
            read(data, "Bank")

"""The rules of the quality report: values in, findings out."""

import pytest

from content.kinds import Kind
from content.quality import (
    accessibility,
    completeness,
    duplicates,
    links,
    readability,
)
from content.quality.findings import StageContent
from content.stage_texts import words_of
from content.tree import ContentNode


def node(kind=Kind.LESSON, **values):
    fields = {
        "pk": 1,
        "id": "LES-1",
        "kind": kind,
        "title": "Lesson",
        "description": "",
        "image": "",
        "color_code": "",
        "is_published": True,
        "is_trashed": False,
        "is_linear": False,
        "is_public": False,
        "is_free_preview": False,
        "required_item": "",
        "base_xp": 10,
        "bit_index": 0,
    }
    return ContentNode(**{**fields, **values})


def stage(type_name="Text", config=None, *, title="Stage", seconds=90):
    config = config or {"format": "markdown", "body": "Some words."}
    lines = words_of(type_name, config).lines
    return StageContent(node(), "STG-1", type_name, title, config, seconds, lines)


def html(body):
    return stage(config={"format": "html", "body": body})


def markdown(body):
    return stage(config={"format": "markdown", "body": body})


def quiz(*prompts, **extra):
    questions = [
        {"prompt": prompt, "options": [{"text": "Yes", "correct": True}], **extra}
        for prompt in prompts
    ]
    return stage("Quiz", {"questions": questions})


def details(findings):
    return [finding.detail for finding in findings]


# --- What was left out ---


def test_a_duration_is_reported_only_at_the_default():
    found = completeness.default_durations([stage(seconds=60), stage(seconds=61)])
    assert len(list(found)) == 1


def test_the_questions_without_an_explanation_are_numbered():
    one = quiz("<p>A</p>", "<p>B</p>", "<p>C</p>")
    one.config["questions"][1]["explanation"] = "<p>Because.</p>"
    [found] = completeness.missing_explanations([one])
    assert found.detail == "Missing in 2 of 3, by number: 1 · 3"


def test_an_open_answer_is_explained_by_its_model_answer():
    asked = {"questions": [{"prompt": "<p>Why?</p>", "model_answer": "<p>So.</p>"}]}
    assert not list(completeness.missing_explanations([stage("OpenAnswer", asked)]))


# --- Pictures and videos ---

PICTURE = "the picture “/media/a.png”"


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (html('<img src="/media/a.png">'), [PICTURE]),
        (html('<img src="/media/a.png" alt=" ">'), [PICTURE]),
        (html('<img src="/media/a.png" alt="A cell">'), []),
        (markdown("![](/media/a.png)"), [PICTURE]),
        (markdown("![A cell](/media/a.png)"), []),
        (html('<svg><path d="M0 0"/></svg>'), ["a drawing without a title"]),
        (html("<svg><title>A cell</title></svg>"), []),
        (html('<svg aria-label="A cell"></svg>'), []),
    ],
)
def test_pictures_without_alternative_text_are_found(one, expected):
    assert details(accessibility.missing_alt([one])) == expected


@pytest.mark.parametrize(
    ("config", "count"),
    [
        ({"source": "a.mp4"}, 1),
        ({"source": "a.mp4", "captions": [{"language": "ar", "url": "/a.vtt"}]}, 0),
        ({"source": "https://youtu.be/dQw4w9WgXcQ"}, 0),
    ],
)
def test_videos_of_this_site_need_captions(config, count):
    found = accessibility.missing_captions([stage("Video", config)])
    assert len(list(found)) == count


# --- Colours ---


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("#000000", "#ffffff", 21.0), ("#777777", "#ffffff", 4.48), ("red", "red", 1.0)],
)
def test_contrast_is_that_of_wcag(first, second, expected):
    assert accessibility.contrast(first, second) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("colour", "count"), [("#808080", 1), ("#0B7A75", 0), ("#FFD600", 0), ("", 0)]
)
def test_a_colour_needs_readable_white_or_dark_text(colour, count):
    found = list(accessibility.low_contrast_nodes([node(color_code=colour)]))
    assert len(found) == count


@pytest.mark.parametrize(
    ("drawing", "count"),
    [
        ('<text fill="yellow">x</text>', 1),
        ('<text fill="#333">x</text>', 0),
        ("<text>x</text>", 0),
        ('<rect fill="navy"/><text fill="yellow">x</text>', 0),
        ('<text fill="none">x</text>', 0),
        ('<text fill="url(#g)">x</text>', 0),
    ],
)
def test_text_in_drawings_is_compared_with_a_white_page(drawing, count):
    one = html(f"<svg>{drawing}</svg>")
    assert len(list(accessibility.low_contrast_drawings([one]))) == count


# --- Links ---


def broken(one, known=()):
    return details(links.broken(links.read([one]), known))


@pytest.mark.parametrize(
    "body",
    [
        '<p id="n1">x</p><a href="#n1">x</a>',
        '<p id="ملاحظة">x</p><a href="#%D9%85%D9%84%D8%A7%D8%AD%D8%B8%D8%A9">x</a>',
        '<a href="#">x</a>',
        '<a href="https://example.org/a?b=c#d">x</a>',
        '<a href="mailto:office@example.org?subject=x">x</a>',
        '<a href="tel:+962 6 500 0000">x</a>',
        '<a href="/api/v1/lessons/LES-KNOWN/">x</a>',
    ],
)
def test_links_that_lead_somewhere_are_not_reported(body, settings):
    settings.ROOT_URLCONF = "tests.content.quality.urls"
    assert broken(html(body), {"LES-KNOWN"}) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ('<a href="#n2">x</a>', "has no element with this id"),
        ('<a href="https://exa mple">x</a>', "is not valid"),
        ('<a href="https://">x</a>', "is not valid"),
        ('<a href="mailto:office">x</a>', "is not valid"),
        ('<a href="/api/v1/lessons/LES-GONE/">x</a>', "the id LES-GONE"),
        ('<a href="/no-such-page/">x</a>', "has no such page"),
        ('<a href="/admin/content/node/1/change/">x</a>', "students cannot open it"),
        ('<a href="chapter2.html">x</a>', "is not complete"),
        ('<img src="https://exa mple/a.png" alt="x">', "is not valid"),
        ('<img src="/media/images/gone.png" alt="x">', "there is no file"),
    ],
)
def test_links_that_lead_nowhere_are_reported_with_the_reason(body, reason):
    [found] = broken(html(body))
    assert reason in found


def test_an_absolute_address_of_this_site_is_checked_as_its_path(settings):
    settings.SITE_URL = "https://school.example"
    base = settings.SITE_URL
    [page] = broken(html(f'<a href="{base}/no-such-page/">x</a>'))
    assert "has no such page" in page
    [file] = broken(html(f'<img src="{base}/media/images/gone.png" alt="x">'))
    assert "there is no file" in file


def test_an_id_in_another_text_of_the_stage_is_no_target():
    cards = [{"front": '<p id="a">x</p>', "back": '<a href="#a">x</a>'}]
    [found] = links.broken(links.read([stage("Reveal", {"cards": cards})]), ())
    assert found.path == ("cards", 0, "back")
    assert found.place == "Card 1"


def test_ids_of_nodes_are_read_from_the_paths_of_this_site_only():
    one = html(
        '<a href="/x/LES-A/?b=LES-B">x</a><a href="https://example.org/LES-C">x</a>'
    )
    assert links.node_ids(links.read([one])) == {"LES-A"}


# --- Duplicates ---


def test_a_stage_with_the_same_folded_text_names_the_first():
    first, second = stage(title="First"), stage(title="Second")
    other = markdown("SOME   words.")
    found = list(duplicates.find([first, second, other, markdown("Other.")]))
    assert [one.stage for one in found] == [second, other]
    assert found[0].other is first
    assert "“First”" in found[0].detail


def test_a_question_is_a_duplicate_whatever_its_explanation():
    first, second = quiz("<p>A?</p>"), quiz("<p>B?</p>", "<p>A?</p>")
    second.config["questions"][1]["explanation"] = "<p>Because.</p>"
    [found] = duplicates.find([first, second])
    assert (found.place, found.other) == ("Question 2", first)


def test_questions_with_other_options_or_pictures_are_no_duplicates():
    first = quiz("<p>A?</p>")
    options, picture = quiz("<p>A?</p>"), quiz("<p>A?</p>", image="/media/a.png")
    options.config["questions"][0]["options"][0]["text"] = "No"
    stages = [
        stage(one.type, one.config) for one in (first, options, picture)
    ]  # with their words as they are now
    assert not list(duplicates.find(stages))


def test_stages_without_text_are_not_compared():
    videos = [stage("Video", {"source": "a.mp4"}) for _ in range(2)]
    assert not list(duplicates.find(videos))


# --- Long sentences ---


def arabic(words):
    return " ".join(["كلمة"] * words)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (arabic(40), 0),
        (arabic(41), 1),
        (f"{arabic(30)}. {arabic(30)}", 0),
        (f"{arabic(30)}؟ {arabic(30)}", 0),
        (f"{arabic(40)} – – –", 0),
        (" ".join(["word"] * 60), 0),
    ],
)
def test_an_arabic_sentence_of_more_than_40_words_is_a_hint(body, count):
    assert len(list(readability.long_sentences([markdown(body)]))) == count


def test_the_longest_sentence_is_shown():
    body = f"{arabic(45)}. {arabic(50)}."
    [found] = readability.long_sentences([markdown(body)])
    assert found.detail.startswith(
        "2 sentences of more than 40 words; the longest has 50"
    )

"""Valid stage configs, and how saving normalises them."""

import json

import pytest
from django.core.exceptions import ValidationError
from django.utils.translation import override

from content import rich_text, stage_configs
from content.config_texts import for_readers, sanitise
from content.models import LessonStage
from content.stage_configs import (
    ConfigError,
    clean,
    clean_config,
    find_faults,
    reviewable_items,
)
from content.stage_types import SCHEMAS
from tests.factories.content import make_branch, make_stage

QUIZ = {
    "questions": [
        {
            "id": "Q-1",
            "prompt": "What is 2 + 2?",
            "options": [{"text": "3"}, {"text": "4", "correct": True}],
        }
    ]
}
PAIRS = {
    "pairs": [{"left": "1/2", "right": "half"}, {"left": "1/4", "right": "quarter"}]
}
SENTENCE = {
    "sentences": [{"tokens": ["I", "am", "here"], "answer": ["I", "am", "here"]}]
}


def faults_of(type_name, config):
    with pytest.raises(ConfigError) as caught:
        clean_config(type_name, config)
    return caught.value.messages


@pytest.mark.parametrize(
    ("type_name", "config"),
    [
        ("Video", {"source": "fractions.mp4"}),
        ("Video", {"source": "وحدة-1/مقدمة 2.mp4", "duration": 90}),
        ("Video", {"source": "https://videos.example/a.mp4"}),
        (
            "Video",
            {
                "source": "a.mp4",
                "captions": [
                    {"language": "ar", "cues": [{"start": 0, "end": 2, "text": "أهلًا"}]}
                ],
            },
        ),
        ("Text", {"format": "markdown", "body": "# Title"}),
        ("Text", {"format": "html", "body": "<p>Hello</p>"}),
        ("Interactive", {"url": "https://lab.example/x", "height": 400}),
        (
            "Interactive",
            {
                "html": '<iframe src="https://lab.example/x"></iframe>',
                "height": 400,
                "completion": {"rule": "time", "seconds": 30},
            },
        ),
    ],
)
def test_a_good_config_stays_as_it_is(type_name, config):
    assert clean_config(type_name, config) == config


@pytest.mark.parametrize(
    ("type_name", "config", "messages"),
    [
        (
            "Matching",
            {"pairs": PAIRS["pairs"][:1]},
            ["config.pairs: must contain at least 2 pairs"],
        ),
        ("Quiz", {"questions": []}, ["config.questions: must not be empty"]),
        ("Quiz", {}, ["config.questions: is missing"]),
        ("Quiz", [], ["config: must be an object"]),
        (
            "Quiz",
            {"questions": [{"prompt": "?", "options": [{"text": "a"}, {"text": "b"}]}]},
            ["config.questions[0].options: must have a correct option"],
        ),
        (
            "Quiz",
            {
                "questions": [
                    {
                        "prompt": "?",
                        "options": [{"text": "a", "correct": True}, {"text": "a"}],
                    }
                ]
            },
            ["config.questions[0].options[1].text: is the same as an earlier option"],
        ),
        (
            "Matching",
            {"pairs": [{"left": "a", "right": "x"}, {"left": "b", "right": "x"}]},
            [
                "config.pairs[1].right: is the same as in an earlier pair, so "
                "students cannot tell them apart"
            ],
        ),
        (
            "SentenceBuilder",
            {"sentences": [{"tokens": ["I", "am"], "answer": ["I", "was"]}]},
            [
                "config.sentences[0].answer: "
                "uses words that are not among its tokens: was"
            ],
        ),
        (
            "Text",
            {"format": "rtf", "body": "x"},
            ["config.format: must be one of: markdown, html"],
        ),
        (
            "Text",
            {"format": "markdown", "body": "x", "color": "red"},
            [
                "config.color: is not allowed here; allowed: format, body, dollar_formulas"
            ],
        ),
        (
            "Video",
            {"source": "a.mp4", "signed_url": "https://x.example"},
            ["config.signed_url: is added when publishing: remove it"],
        ),
        (
            "Interactive",
            {"height": 300},
            ["config: must have either url or html, not both"],
        ),
        (
            "Interactive",
            {"url": "https://x.example", "height": 300, "completion": {"rule": "time"}},
            [
                "config.completion.seconds: is required with the rule “time” and not "
                "allowed with others"
            ],
        ),
        ("Poem", {}, ["config: there is no stage type “Poem”"]),
    ],
)
def test_a_bad_config_is_refused_with_the_place_and_the_reason(
    type_name, config, messages
):
    assert faults_of(type_name, config) == messages


@pytest.mark.parametrize(
    "source",
    [
        "../secret.mp4",
        "a/../b.mp4",
        "/etc/passwd",
        ".hidden",
        "a\\b.mp4",
        "http://insecure.example/a.mp4",
        "javascript:alert(1)",
        "file:///a",
        "",
        "a//b.mp4",
    ],
)
def test_a_video_s_source_stays_below_its_folder_or_is_https(source):
    assert len(faults_of("Video", {"source": source})) >= 1


def test_a_pathological_config_is_refused_and_not_an_error():
    deep: dict = {}
    for _level in range(2000):
        deep = {"x": deep}
    assert faults_of("Text", deep) == ["config: is nested too deeply"]


def test_reasons_come_in_the_editor_s_language():
    with override("ar"), pytest.raises(ConfigError) as caught:
        clean_config("Video", {"source": "../x"})
    assert "اكتب" in caught.value.messages[0]


LOOKS_THE_SAME = ["نعم ", "\u200fنعم", "ن\u200bعم", "\ufee7\ufecc\ufee2"]


@pytest.mark.parametrize("other", LOOKS_THE_SAME)
def test_options_that_look_the_same_are_refused(other):
    options = [{"text": "نعم", "correct": True}, {"text": other}]
    assert faults_of("Quiz", {"questions": [{"prompt": "?", "options": options}]}) == [
        "config.questions[0].options[1].text: is the same as an earlier option"
    ]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("other", LOOKS_THE_SAME)
def test_sides_of_pairs_that_look_the_same_are_refused(side, other):
    pairs = [{"left": "a", "right": "x"}, {"left": "b", "right": "y"}]
    pairs[0][side], pairs[1][side] = "نعم", other
    [message] = faults_of("Matching", {"pairs": pairs})
    assert message.startswith(
        f"config.pairs[1].{side}: is the same as in an earlier pair"
    )


def test_options_with_the_same_text_and_other_pictures_differ():
    options = [
        {"text": "نعم", "image": "/media/a.png", "correct": True},
        {"text": "نعم ", "image": "/media/b.png"},
    ]
    config = {"questions": [{"id": "Q", "prompt": "?", "options": options}]}
    assert clean_config("Quiz", config) == config


BLANK = "\u200b\u200f\u00a0"


@pytest.mark.parametrize(
    ("type_name", "config", "path"),
    [
        ("Text", {"format": "markdown", "body": BLANK}, "body"),
        ("Text", {"format": "html", "body": f"<p>{BLANK}&#8203;</p><br>"}, "body"),
        (
            "Quiz",
            {"questions": [{**QUIZ["questions"][0], "prompt": "<p>&nbsp;</p>"}]},
            "questions[0].prompt",
        ),
        (
            "Quiz",
            {
                "questions": [
                    {
                        "prompt": "?",
                        "options": [{"text": "a", "correct": True}, {"text": BLANK}],
                    }
                ]
            },
            "questions[0].options[1].text",
        ),
        (
            "Matching",
            {"pairs": [{"left": BLANK, "right": "half"}, PAIRS["pairs"][1]]},
            "pairs[0].left",
        ),
        ("Reveal", {"cards": [{"front": "a", "back": BLANK}]}, "cards[0].back"),
        (
            "SentenceBuilder",
            {"sentences": [{"tokens": ["a", BLANK], "answer": ["a", BLANK]}]},
            "sentences[0].tokens[1]",
        ),
        (
            "Video",
            {
                "source": "a.mp4",
                "captions": [
                    {
                        "language": "ar",
                        "cues": [{"start": 0, "end": 1, "text": BLANK}],
                    }
                ],
            },
            "captions[0].cues[0].text",
        ),
        ("Interactive", {"html": "<div> </div>", "height": 300}, "html"),
    ],
)
def test_a_text_in_which_nothing_can_be_seen_is_empty(type_name, config, path):
    assert f"config.{path}: must not be empty" in faults_of(type_name, config)


@pytest.mark.parametrize(
    "html", ['<p><img src="/media/a.png"></p>', "<hr>", "<p>ا</p>"]
)
def test_a_picture_is_something_to_see(html):
    config = {"format": "html", "body": html}
    assert clean_config("Text", config) == config


@pytest.mark.parametrize("text", [BLANK, "نعم "])
def test_what_is_published_is_not_refused_for_how_it_looks(text):
    options = [{"text": "نعم", "correct": True}, {"text": text}]
    question = {"id": "Q-1", "prompt": "?", "options": options}
    assert find_faults("Quiz", {"questions": [question]}, published=True) == []


def test_missing_item_ids_are_made_and_given_ones_kept():
    cleaned = clean_config(
        "Matching", {"pairs": [{**PAIRS["pairs"][0], "id": "P-1"}, PAIRS["pairs"][1]]}
    )
    first, second = reviewable_items("Matching", cleaned)
    assert first == "P-1"
    assert second.startswith("ITEM-")


def test_cleaning_leaves_what_it_was_given_alone():
    given = {"pairs": [dict(pair) for pair in PAIRS["pairs"]]}
    clean_config("Matching", given)
    assert given == PAIRS


def test_an_item_given_without_its_id_keeps_the_one_it_had():
    stored = clean_config("Matching", PAIRS)
    reordered = {"pairs": list(reversed(PAIRS["pairs"]))}
    again = clean_config("Matching", reordered, previous=stored)
    assert (
        reviewable_items("Matching", again)
        == reviewable_items("Matching", stored)[::-1]
    )


def test_an_edited_item_without_an_id_is_another_item():
    stored = clean_config("Matching", PAIRS)
    edited = {"pairs": [PAIRS["pairs"][0], {"left": "1/3", "right": "third"}]}
    again = clean_config("Matching", edited, previous=stored)
    assert (
        reviewable_items("Matching", again)[0]
        == reviewable_items("Matching", stored)[0]
    )
    assert reviewable_items("Matching", again)[1] not in reviewable_items(
        "Matching", stored
    )


def test_an_item_id_stands_once_in_a_stage():
    question = QUIZ["questions"][0]
    assert faults_of("Quiz", {"questions": [question, question]}) == [
        "config.questions[1].id: is already the id of Questions 1"
    ]


def test_an_item_id_must_be_safe():
    question = {**QUIZ["questions"][0], "id": "../x"}
    [message] = faults_of("Quiz", {"questions": [question]})
    assert message.startswith("config.questions[0].id: use 1 to 64 letters")


@pytest.mark.parametrize(
    ("type_name", "config", "count"),
    [
        ("Quiz", QUIZ, 1),
        ("Matching", PAIRS, 2),
        ("Reveal", {"cards": [{"front": "a", "back": "b"}] * 3}, 3),
        ("SentenceBuilder", SENTENCE, 1),
        (
            "FillIn",
            {"questions": [{"prompt": "a ___", "gaps": [{"answers": ["b"]}]}]},
            1,
        ),
        ("OpenAnswer", {"questions": [{"prompt": "a"}, {"prompt": "b"}]}, 2),
        ("Text", {"format": "markdown", "body": "x"}, 0),
    ],
)
def test_what_can_be_reviewed_has_an_id(type_name, config, count):
    items = reviewable_items(type_name, clean_config(type_name, config))
    assert len(set(items)) == count


def test_scripts_and_handlers_are_removed_from_html():
    cleaned = clean_config(
        "Text",
        {
            "format": "html",
            "body": '<p dir="rtl" onclick="x()">أهلًا<script>x()</script>'
            '<a href="javascript:x()">k</a></p>',
        },
    )
    assert cleaned["body"] == (
        '<p dir="rtl">أهلًا<a rel="noopener noreferrer">k</a></p>'
    )


def test_what_is_lost_is_said_with_its_place():
    cleaned = clean(
        "Quiz",
        {
            "questions": [
                {
                    "prompt": "<p>كم <video>2</video>؟</p>",
                    "options": [{"text": "a<b>"}, {"text": "c", "correct": True}],
                    "explanation": "<p>x<y</p>",
                }
            ]
        },
    )
    (lost,) = cleaned.losses
    assert lost.path == ("questions", 0, "prompt")
    assert (
        lost.what == "not supported, so it is removed: 1 element (\u2068<video>\u2069)"
    )
    question = cleaned.config["questions"][0]
    assert question["prompt"] == "<p>كم 2؟</p>"
    assert question["explanation"] == "<p>x&lt;y</p>"
    assert question["options"][0]["text"] == "a<b>"
    assert clean("Quiz", cleaned.config).losses == ()


def test_a_text_that_would_be_lost_entirely_is_refused_with_what_it_was():
    config = {"format": "html", "body": "<template>2</template>"}
    assert faults_of("Text", config) == [
        "config.body: nothing is left of this text, because all of it is removed: "
        "1 element (\u2068<template>\u2069), 1 piece of text (\u2068“2”\u2069)"
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("<div>" * 40_000, "has more than 10000 HTML elements"),
        ("<div>" * 101 + "a", "has HTML elements nested more than 100 deep"),
        ("a" * 1_000_001, "must have at most 200000 characters"),
        ("<p>" + "a" * 200_000, "must have at most 200000 characters"),
    ],
)
def test_html_has_limits(body, reason):
    assert faults_of("Text", {"format": "html", "body": body}) == [
        f"config.body: {reason}"
    ]


def html_places(schema, path=()):
    if schema.get("contentMediaType") == "text/html":
        yield path, schema
    for part in ("properties", "then", "items"):
        inner = schema.get(part, {})
        if part == "properties":
            for key, value in inner.items():
                yield from html_places(value, (*path, key))
        elif inner:
            yield from html_places(inner, path)


def test_every_html_text_has_a_limit_below_what_is_read():
    for name, schema in SCHEMAS.items():
        for path, place in html_places(schema):
            whole = place if "maxLength" in place else schema["properties"][path[-1]]
            assert whole["maxLength"] < rich_text.MAX_CHARACTERS, (name, path)


@pytest.mark.parametrize("levels", [33, 200, 900, 2000])
@pytest.mark.parametrize("key", ["format", "body", "x"])
def test_a_deep_value_anywhere_is_refused_and_not_an_error(key, levels):
    for wrap in (lambda inner: [inner], lambda inner: {"a": inner}):
        deep: dict = {"format": "html", "body": "a", key: "a"}
        for _level in range(levels):
            deep[key] = wrap(deep[key])
        assert faults_of("Text", deep) == ["config: is nested too deeply"]
        questions = {"questions": [{"prompt": "?", key: deep}]}
        assert faults_of("Quiz", questions) == ["config: is nested too deeply"]


# --- Videos on other sites -----------------------------------------------------------

WATCH = "https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=1m5s"
PLAYER = "https://www.youtube-nocookie.com/embed/dQw4w9WgXcQ?start=65"


def test_a_video_s_page_is_stored_as_it_is_and_published_with_its_player():
    assert clean_config("Video", {"source": WATCH}) == {"source": WATCH}
    found = for_readers("Video", json.dumps({"source": WATCH}), absolute=pytest.fail)
    assert json.loads(found) == {"source": WATCH, "player_url": PLAYER}


def test_a_video_s_page_without_its_scheme_gets_one():
    cleaned = clean_config("Video", {"source": " youtu.be/dQw4w9WgXcQ"})
    assert cleaned == {"source": "https://youtu.be/dQw4w9WgXcQ"}


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "https://www.youtube.com/@school",
            "is a page of YouTube that does not show a single video: open the video "
            "there and copy its address",
        ),
        (
            "https://drive.google.com/file/d/1/view",
            "is a page of Google Drive, not a video file: upload the file, or use "
            "YouTube or Vimeo",
        ),
    ],
)
def test_a_page_that_cannot_be_played_is_refused(source, reason):
    config = {"source": source}
    assert faults_of("Video", config) == [f"config.source: {reason}"]
    # A source stored before this check existed must not block publishing.
    assert find_faults("Video", config, published=True) == []


def test_a_frame_shows_a_video_s_player_and_any_other_page():
    for url, shown in [(WATCH, PLAYER), ("https://lab.example/x",) * 2]:
        cleaned = clean_config("Interactive", {"url": url, "height": 300})
        assert cleaned["url"] == shown
    [message] = faults_of(
        "Interactive", {"url": "https://www.youtube.com/", "height": 300}
    )
    assert message.startswith("config.url: is a page of YouTube")


def test_nobody_but_publishing_writes_a_player():
    config = {"source": WATCH, "player_url": "https://evil.example"}
    assert faults_of("Video", config) == [
        "config.player_url: is added when publishing: remove it"
    ]


# --- More of HTML ---------------------------------------------------------------------


def test_markdown_keeps_its_angle_brackets():
    body = "`a < b` and <script> as words"
    assert clean_config("Text", {"format": "markdown", "body": body})["body"] == body


def test_an_embed_keeps_an_https_frame_and_nothing_that_runs():
    cleaned = clean_config(
        "Interactive",
        {
            "height": 300,
            "html": '<iframe src="https://lab.example/x" onload="x()"></iframe>'
            '<iframe src="javascript:x()"></iframe><script>x()</script>',
        },
    )
    assert cleaned["html"] == (
        '<iframe src="https://lab.example/x"></iframe><iframe></iframe>'
    )


def test_html_that_sanitises_to_nothing_is_refused():
    config = {"format": "html", "body": "<script>x()</script>"}
    assert faults_of("Text", config) == [
        "config.body: nothing is left of this text, because all of it is removed: "
        "1 element (\u2068<script>\u2069)"
    ]


def test_sanitising_twice_changes_nothing():
    config = {"format": "html", "body": "a < b & <b>c</b>"}
    once = sanitise("Text", config)
    assert sanitise("Text", once) == once


@pytest.mark.parametrize(
    "text",
    [
        '{"body":"plain / slash","format":"markdown"}',
        '{"source":"grade-5/a.mp4","poster":"https://cdn.example/a.png"}',
    ],
)
def test_a_config_without_html_or_paths_goes_to_readers_unread(text):
    assert for_readers("Video", text, absolute=pytest.fail) is text


def test_readers_get_todays_rules_for_old_html():
    text = '{"format":"html","body":"<b onclick=\\"x()\\">a</b>"}'
    found = for_readers("Text", text, absolute=pytest.fail)
    assert json.loads(found)["body"] == "<b>a</b>"


def test_only_paths_on_this_site_are_made_absolute():
    html = (
        '<a href="/files/a.pdf">a</a><a href="//else.example">b</a>'
        '<a href="page">c</a><a href="#top">d</a><a href="mailto:a@b.example">e</a>'
    )
    text = json.dumps({"format": "html", "body": html})
    found = for_readers("Text", text, absolute=lambda path: f"https://x.example{path}")
    expected = html.replace('"/files', '"https://x.example/files')
    expected = expected.replace('">', '" rel="noopener noreferrer">')
    assert json.loads(found)["body"] == expected


@pytest.mark.parametrize(
    ("image", "fine"),
    [
        ("https://a.example/a.png", True),
        ("http://127.0.0.1:8000/media/a.png", True),
        ("/media/a.png", False),
    ],
)
def test_a_published_picture_is_an_absolute_address(image, fine):
    config = {
        "cards": [{"id": "ITEM-1", "front": "a", "back": "b", "image": image}],
    }
    assert (find_faults("Reveal", config, published=True) == []) is fine


@pytest.mark.django_db
def test_a_bad_config_is_an_error_on_the_field_config():
    lesson = make_branch(lessons=1).lessons[0]
    stage = LessonStage(
        lesson=lesson, type="Matching", title="Match", config={"pairs": []}
    )
    with pytest.raises(ValidationError) as caught:
        stage.full_clean()
    assert caught.value.message_dict == {
        "config": ["Pairs: must contain at least 2 pairs"]
    }


@pytest.mark.django_db
def test_saving_refuses_a_bad_config_even_without_full_clean():
    lesson = make_branch(lessons=1).lessons[0]
    with pytest.raises(ValidationError):
        LessonStage.objects.create(lesson=lesson, type="Quiz", title="Q", config={})
    assert not LessonStage.objects.exists()


@pytest.mark.django_db
def test_saving_a_stage_again_keeps_its_item_ids():
    lesson = make_branch(lessons=1).lessons[0]
    stage = make_stage(lesson, type="Matching", config=PAIRS)
    items = reviewable_items("Matching", stage.config)
    stage = LessonStage.objects.get(pk=stage.pk)
    stage.config = PAIRS
    stage.save()
    stage.refresh_from_db()
    assert reviewable_items("Matching", stage.config) == items


@pytest.mark.django_db
def test_a_stage_belongs_to_a_lesson():
    topic = make_branch().topic
    stage = LessonStage(
        lesson=topic, type="Text", title="T", config={"format": "markdown", "body": "x"}
    )
    with pytest.raises(ValidationError, match="Only lessons have stages"):
        stage.full_clean()


@pytest.mark.django_db
def test_a_stage_without_a_lesson_yet_is_checked_all_the_same():
    stage = LessonStage(type="Quiz", title="Q", config={})
    with pytest.raises(ValidationError) as caught:
        stage.full_clean()
    assert set(caught.value.message_dict) == {"lesson", "config"}


def test_only_the_parts_of_a_config_that_can_hold_items_are_read(monkeypatch):
    read = []
    walk = stage_configs._items_in

    def counted(place, value, path):
        read.append(path)
        return walk(place, value, path)

    monkeypatch.setattr(stage_configs, "_items_in", counted)
    question = {"prompt": "?", "options": [{"text": str(n)} for n in range(20)]}
    questions = {"questions": [{**question, "id": f"Q-{n}"} for n in range(3)]}
    assert reviewable_items("Quiz", questions) == ["Q-0", "Q-1", "Q-2"]
    # The config, its list and the three questions, but none of their 60 options.
    assert len(read) == 5
    read.clear()
    cues = [{"start": n, "end": n + 1, "text": "a"} for n in range(50)]
    captions = [{"language": "ar", "cues": cues}]
    clean_config("Video", {"source": "a.mp4", "captions": captions})
    assert read == []

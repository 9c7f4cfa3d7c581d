"""Tokens: which lesson each opens, for which player, and until when."""

import pytest

from publishing.signing import links

NOON = 1_800_014_400


def uri(url: str) -> str:
    return url.removeprefix("http://127.0.0.1:8000")


@pytest.fixture
def lesson(db) -> str:
    return uri(links.lesson_url("LES-1", expires=NOON + 900, player_id=42))


def test_a_token_opens_its_lesson_until_it_expires(lesson):
    assert links.seconds_left(lesson, now=NOON) == 900
    assert links.seconds_left(lesson, now=NOON + 899) == 1
    assert links.seconds_left(lesson, now=NOON + 900) == 0


def test_the_player_it_was_made_for_stands_in_the_link_and_cannot_be_changed(lesson):
    assert "player=42" in lesson
    assert links.seconds_left(lesson.replace("=42", "=43"), now=NOON) == 0
    assert links.seconds_left(lesson.replace("&player=42", ""), now=NOON) == 0


def test_a_token_cannot_be_given_a_player(db):
    link = uri(links.lesson_url("LES-1", expires=NOON + 900))
    assert links.seconds_left(link, now=NOON) == 900
    assert links.seconds_left(f"{link}&player=42", now=NOON) == 0


@pytest.mark.parametrize(
    ("wrong", "by"),
    [
        ("LES-1.json", "LES-2.json"),
        ("/lessons/", "/lessons/../lessons/"),
        ("/lessons/", "//lessons/"),
        ("expires=1", "expires=2"),
        ("expires=1", "expires=-1"),
        ("expires=1", "expires=%2B1"),
        ("token=", "token=0"),
        ("token=", "nothing="),
        ("expires=", "player=7&expires="),
        ("&player=42", "&player=42&player=7"),
        ("&player=42", "&player=7&player=42"),
        ("&player=42", "&PLAYER=7&player=42"),
        ("&player=42", "&player=042"),
        ("&player=42", "&player=%342"),
        ("expires=1", "expires=01"),
        ("expires=1", "expires=1&a=b"),
        ("expires=1", "?expires=1"),
        ("expires=1", "&expires=1"),
        ("token=", "token=A&token="),
        ("&token=", "&&token="),
        ("&token=", ";token="),
        ("/files/memora_content/", "/files/videos/"),
        ("/files/memora_content/", "/files/"),
        ("LES-1", "LES-%FF"),
        ("http", "http://[::1"),
        ("", "http://["),
    ],
)
def test_whatever_is_changed_opens_nothing(lesson, wrong, by):
    changed = lesson.replace(wrong, by, 1)
    assert changed == lesson or links.seconds_left(changed, now=NOON) == 0


def test_nothing_may_follow_the_token(lesson):
    assert links.seconds_left(lesson, now=NOON) == 900
    for more in ("&player=7", "&", "#", "\n", "0"):
        assert links.seconds_left(lesson + more, now=NOON) == 0


def test_the_key_ends_all_tokens(lesson, settings):
    settings.SECRET_KEY = "another"
    assert links.seconds_left(lesson, now=NOON) == 0


def test_a_video_s_token_opens_no_lesson_of_that_name(db):
    video = uri(links.video_url("lessons/LES-1.json", expires=NOON + 900))
    assert links.seconds_left(video, now=NOON) == 900
    as_lesson = video.replace("/files/videos/", "/files/memora_content/")
    assert links.seconds_left(as_lesson, now=NOON) == 0


def test_a_video_s_name_may_be_arabic(db):
    video = uri(links.video_url("رياضيات/درس 1.mp4", expires=NOON + 900))
    assert video.isascii()
    assert links.seconds_left(video, now=NOON) == 900


def test_another_host_s_video_stays_its_own(db):
    signer = links.video_signer()
    assert signer.sign("https://v.example/a.mp4", NOON) == "https://v.example/a.mp4"

"""WebVTT becomes cues, or is refused with its line."""

import pytest

from content.media import webvtt
from content.stage_configs import clean_config

FILE = """\ufeffWEBVTT - a title
Kind: captions

NOTE a comment
of two lines

STYLE
::cue { color: red }

1
00:01.000 --> 00:04.500 align:start
<v Sara>Hello &amp; welcome</v>
second line

00:59:59.000 --> 01:00:01.250
مرحبا
"""


def test_a_file_becomes_cues():
    cues = webvtt.parse(FILE.encode())
    assert cues == [
        {"start": 1, "end": 4.5, "text": "Hello & welcome\nsecond line"},
        {"start": 3599, "end": 3601.25, "text": "مرحبا"},
    ]
    clean_config(
        "Video", {"source": "a.mp4", "captions": [{"language": "ar", "cues": cues}]}
    )


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_other_line_ends_are_read(end):
    assert len(webvtt.parse(FILE.replace("\n", end).encode())) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "Line 1"),
        ("WEBVTTX\n\n00:01.000 --> 00:02.000\na", "Line 1"),
        ("1\n00:00:01,000 --> 00:00:02,000\na", "Line 1"),
        ("WEBVTT\n\n", "no captions"),
        ("WEBVTT\n\n00:01,000 --> 00:02,000\na", "Line 3"),
        ("WEBVTT\n\nid\n1 --> 2\na", "Line 4"),
        ("WEBVTT\n\nonly text\n", "Line 4"),
        ("WEBVTT\n\n00:02.000 --> 00:01.000\na", "Line 3: the caption ends before"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\n", "Line 3: the caption has no text"),
        ("WEBVTT\n00:01.000 --> 00:02.000\n", "Line 2"),
        (f"WEBVTT\n\n00:01.000 --> 00:02.000\n{'a' * 501}", "500 characters"),
        (f"WEBVTT\n\n{'x' * webvtt.MAX_BYTES}", "larger than"),
        ("WEBVTT" + "\n\n00:01.000 --> 00:02.000\na" * 5001, "5000 captions"),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(text, words):
    with pytest.raises(webvtt.WebVTTError, match=words):
        webvtt.parse(text.encode())


def test_another_encoding_is_refused():
    with pytest.raises(webvtt.WebVTTError, match="UTF-8"):
        webvtt.parse("WEBVTT\n\nمرحبا".encode("cp1256"))

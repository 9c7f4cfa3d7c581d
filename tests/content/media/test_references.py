"""Addresses of media in configs: found by their use, changed in place."""

import pytest

from content.media import references
from content.media.references import Use


def text(body, form="html"):
    return "Text", {"format": form, "body": body}


def found(type_name, config):
    return [
        (reference.address, reference.use.value)
        for reference in references.of_config(type_name, config)
    ]


def test_html_has_pictures_audio_videos_and_links():
    body = (
        "<p><img alt='' src=a.png><a href=\"b.pdf\">b</a></p>"
        "<audio src='c.mp3'></audio><audio><source src=\"d.ogg\"></audio>"
        '<video poster="e.png"><source src="f.mp4"></video>'
    )
    assert found(*text(body)) == [
        ("a.png", "picture"),
        ("b.pdf", "link"),
        ("c.mp3", "audio"),
        ("d.ogg", "audio"),
        ("e.png", "picture"),
        ("f.mp4", "video"),
    ]


def test_markdown_has_pictures_and_links():
    body = '![a](a.png "title") [b](<b.pdf>) text (c.png) [![d](d.png)](e.html)'
    assert found(*text(body, "markdown")) == [
        ("a.png", "picture"),
        ("b.pdf", "link"),
        ("d.png", "picture"),
        ("e.html", "link"),
    ]


def test_fields_have_addresses():
    video = {"source": "v.mp4", "poster": "/media/images/p.png"}
    assert found("Video", video) == [
        ("v.mp4", "video"),
        ("/media/images/p.png", "picture"),
    ]
    pair = {"left": "a", "right": "b", "left_image": "/a.png"}
    assert found("Matching", {"pairs": [pair]}) == [("/a.png", "picture")]


def test_only_the_addresses_change():
    body = '<p title="a.png">a.png <img alt="a.png" src="a.png?x=1&amp;y=2"> &lt;b</p>'
    type_name, config = text(body)
    changed = references.changed(type_name, config, lambda found: "/media/é.png")
    assert changed["body"] == body.replace("a.png?x=1&amp;y=2", "/media/é.png")
    same = references.changed(type_name, config, lambda found: found.address)
    assert same == config


def test_an_unknown_type_has_no_references():
    assert references.of_config("Song", {"source": "a.mp4"}) == []


@pytest.mark.parametrize(
    ("address", "external"),
    [
        ("https://x.org/a.png", True),
        ("//x.org/a.png", True),
        ("data:image/png;base64,AA", True),
        ("#top", True),
        ("/media/a.png", False),
        ("images/a.png", False),
        ("c/d:e.png", False),
    ],
)
def test_an_external_address_has_a_scheme_or_a_host(address, external):
    assert references.is_external(address) is external


def test_a_long_text_is_read_in_linear_time():
    body = "[" * 200_000 + "](a.png)"
    assert found(*text(body, "markdown")) == [("a.png", Use.LINK.value)]

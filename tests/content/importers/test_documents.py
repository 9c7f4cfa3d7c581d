"""Documents in HTML and DOCX: their headings become the tree."""

import io
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from content.importers import docx, html_document
from content.importers.outlines import ImporterError
from tests.content.importers import documents
from tests.content.importers.documents import heading, paragraph


def html_of(text):
    return html_document.read_text(text, "Book")


def tree(outline):
    """The titles of the tree, with the texts of the lessons."""
    return {
        unit["title"]: {
            topic["title"]: {
                lesson["title"]: [stage["config"]["body"] for stage in lesson["stages"]]
                for lesson in topic["lessons"]
            }
            for topic in unit["topics"]
        }
        for unit in outline.nodes
    }


def picture():
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "PNG")
    return out.getvalue()


def test_headings_become_units_topics_and_lessons():
    outline = html_of(
        "<title>A &amp; B</title><h1>One</h1><h2>Two</h2><h3>Three</h3><p>a</p><h4>b</h4>"
        "<h3>Four</h3><p>c</p><h2>Five</h2><h1>Six</h1>"
    )
    assert outline.title == "A & B"
    assert tree(outline) == {
        "One": {
            "Two": {"Three": ["<p>a</p><h4>b</h4>"], "Four": ["<p>c</p>"]},
            "Five": {},
        },
        "Six": {},
    }


def test_text_without_a_heading_of_its_level_gets_nodes_of_the_title_above():
    outline = html_of("<p>a</p><h1>One</h1><p>b</p><h3>Two</h3><p>c</p>")
    assert tree(outline) == {
        "Book": {"Book": {"Book": ["<p>a</p>"]}},
        "One": {"One": {"One": ["<p>b</p>"], "Two": ["<p>c</p>"]}},
    }


def test_wrappers_around_headings_are_no_text():
    outline = html_of(
        "<html><body><div><section><h1>One</h1></section><p>a</p></div></body></html>"
    )
    assert tree(outline) == {"One": {"One": {"One": ["<p>a</p>"]}}}


def test_a_heading_inside_a_table_does_not_divide_the_document():
    html = "<table><tr><td><h2>x</h2></td></tr></table>"
    assert tree(html_of(f"<h1>One</h1>{html}")) == {"One": {"One": {"One": [html]}}}


def test_a_picture_in_the_text_becomes_a_file():
    outline = html_of(
        '<h1>One</h1><p><img alt="x" src="data:image/png;base64,aGVsbG8="></p>'
    )
    [(name, data)] = outline.files.items()
    assert data == b"hello"
    assert tree(outline)["One"]["One"]["One"] == [f'<p><img alt="x" src="{name}"></p>']


def test_a_picture_of_an_unknown_type_is_named():
    outline = html_of('<p>a<img src="data:image/x-emf;base64,aGVsbG8="></p>')
    assert [loss.reason for loss in outline.losses] == [
        "a picture of the type x-emf is not supported"
    ]


def test_a_long_text_has_several_stages():
    outline = html_of("<h1>One</h1>" + "<p>word</p>" * 12_000)
    bodies = tree(outline)["One"]["One"]["One"]
    assert len(bodies) > 1
    assert "".join(bodies) == "<p>word</p>" * 12_000


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<p> </p>", "The document shows no text."),
        (b"\n<p>\xff", "The file is not UTF-8 text (line 2). Save it as UTF-8."),
        (
            b'<meta charset="ascii">\xff',
            "The text is not in the declared encoding ascii.",
        ),
    ],
)
def test_a_document_that_cannot_be_read_is_refused(data, message):
    with pytest.raises(ImporterError) as refused:
        html_document.read(data, "Book")
    assert refused.value.message == message


def test_a_document_is_read_in_its_declared_encoding():
    html = '<meta charset="windows-1256"><h1>فصل</h1>'
    outline = html_document.read(html.encode("windows-1256"), "Book")
    assert list(tree(outline)) == ["فصل"]


# --- Word -----------------------------------------------------------------------------


def test_a_word_document_keeps_headings_pictures_tables_and_footnotes():
    data = documents.docx(
        paragraph("My book", "Title"),
        heading("Unit", 1),
        heading("Topic", 2),
        heading("Lesson", 3),
        documents.PICTURE,
        documents.TABLE,
        documents.NOTED,
        heading("Lesson 2", 3),
        paragraph("after"),
        picture=picture(),
    )
    outline = docx.read(data, "file")
    [(name, stored)] = outline.files.items()
    lessons = tree(outline)["Unit"]["Topic"]
    [body] = lessons["Lesson"]
    assert outline.title == "My book"
    assert stored == picture()
    assert f'<img alt="A cell" src="{name}" />' in body
    assert "<td><p>cell two</p></td>" in body
    assert '<a href="#footnote-2"' in body
    assert '<hr><ol start="1"><li id="footnote-2"><p>The note' in body
    assert lessons["Lesson 2"] == ["<p>after</p>"]
    assert outline.losses == []


def test_formulas_and_unknown_styles_of_a_word_document_are_named():
    data = documents.docx(
        paragraph("a"), documents.FORMULA, documents.FORMULA, paragraph("b", "Odd")
    )
    assert [loss.reason for loss in docx.read(data, "file").losses] == [
        "2 formulas of Word's equation editor are not kept: write them as TeX",
        "not kept: the style “Odd”; its text is kept (1)",
    ]


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in files.items():
            opened.writestr(name.replace("__", "/"), data)
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04",
        zipped(a="b"),
        documents.docx(document="<w:document"),
        documents.docx(document='<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
        documents.docx(document="<a>" * 300 + "</a>" * 300),
        documents.docx(document="<a/>"),
    ],
)
def test_a_file_that_is_no_word_document_is_refused(data):
    with pytest.raises(ImporterError):
        docx.read(data, "file")


def test_a_word_document_that_expands_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(docx, "MAX_XML", 100_000)
    data = documents.docx(*[paragraph("a" * 1000)] * 200)
    with pytest.raises(ImporterError) as refused:
        docx.read(data, "file")
    assert refused.value.message.startswith("The Word document is too large")


def test_a_word_document_with_too_many_elements_is_refused(monkeypatch):
    monkeypatch.setattr(docx, "MAX_ELEMENTS", 500)
    with pytest.raises(ImporterError) as refused:
        docx.read(documents.docx(*[paragraph("a")] * 400), "file")
    assert refused.value.message.startswith("The Word document is too large")


def test_a_document_with_too_many_tags_is_refused(monkeypatch):
    monkeypatch.setattr(html_document, "MAX_TAGS", 3)
    with pytest.raises(ImporterError) as refused:
        html_of("<p>a</p><p>b</p>")
    assert refused.value.message == (
        "The file has more than 3 tags: divide it into several files."
    )


@given(at=st.integers(0, 2_000), byte=st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_a_damaged_word_document_is_read_or_refused(at, byte):
    data = bytearray(documents.docx(heading("Unit", 1), paragraph("a")))
    data[at % len(data)] = byte
    with suppress(ImporterError):
        docx.read(bytes(data), "file")


PARTS = st.lists(
    st.sampled_from(
        [
            "<h1>",
            "</h1>",
            "<h2>",
            "</h2>",
            "<h3>",
            "</h3>",
            "<p>",
            "</p>",
            "<div>",
            "</div>",
            "<table>",
            "</table>",
            "<li",
            'id="footnote-1">',
            "</li>",
            "<ol>",
            "</ol>",
            "a",
            "<img",
            'src="data:image/png;base64,x">',
            "<title>",
            "</title>",
            "<script>",
            "</script>",
            "<!--",
        ]
    ),
    max_size=40,
)


@given(parts=PARTS)
@settings(max_examples=300, deadline=None)
def test_any_tags_are_read_or_refused(parts):
    with suppress(ImporterError):
        html_of("".join(parts))

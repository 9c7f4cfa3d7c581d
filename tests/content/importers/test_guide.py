"""``docs/importing.md`` states the columns, types and suffixes of the code."""

import re
from pathlib import Path

from content.importers import SUFFIXES, docx, gift, html_document, moodle_xml
from content.importers.question_sheet import HEADERS, TYPES
from content.importers.questions import MAX_QUESTIONS

GUIDE = (Path(__file__).parents[3] / "docs/importing.md").read_text(encoding="utf-8")


def test_every_suffix_is_named():
    assert set(re.findall(r"`\.([a-z]+)`", GUIDE)) == set(SUFFIXES)


def test_every_column_and_type_is_named_in_both_languages():
    for names in (*HEADERS.values(), *TYPES.values()):
        assert f"`{names[0]}`" in GUIDE
        assert any(
            f"`{name}`" in GUIDE for name in names if re.search("[\u0621-\u064a]", name)
        )


def test_the_limits_are_those_of_the_code():
    assert f"{MAX_QUESTIONS:,} questions" in GUIDE
    assert f"GIFT: {gift.MAX_BYTES >> 20} MB" in GUIDE
    assert f"Moodle XML: {moodle_xml.MAX_TAGS:,} tags" in GUIDE
    assert f"HTML: {html_document.MAX_BYTES >> 20} MB" in GUIDE
    assert f"{html_document.MAX_TAGS:,} tags. Word" in GUIDE
    assert f"{docx.MAX_ELEMENTS:,} elements" in GUIDE
    assert f"{docx.MAX_XML >> 20} MB of XML" in GUIDE
    assert f"{docx.MAX_UNPACKED >> 20} MB in total" in GUIDE
    assert f"{docx.MAX_ENTRIES:,} files" in GUIDE

"""The table of error codes, and the page for apps that is written from it.

``MEMORA_WRITE_ERRORS=1`` writes the table of ``docs/errors.md`` again.
"""

import os
import re

import pytest
from django.conf import settings
from django.utils import translation

from core.api_types import hints_of
from core.errors import MemoraError
from memora_site.error_codes import ERROR_CODES, Queued

PAGE = settings.BASE_DIR / "docs" / "errors.md"
ONLY_IN_THE_ADMIN = {
    *(
        "CDN_FAILED",
        "ERROR",
        "INVALID_CURRICULUM",
        "INVALID_SHEET",
        "INVALID_STRUCTURE",
    ),
    *("INVALID_VIDEO", "REVERT_REFUSED", "ROLLBACK_REFUSED", "SECRET_UNREADABLE"),
    "TOO_MANY_ROWS",
    *("INVALID_MEDIA", "MEDIA_IN_USE", "UNREADABLE_FILE"),
    *("STAFF_ACCOUNT", "UPLOAD_GONE"),
    *("PEER_ANSWER", "PEER_BUSY", "PEER_CREDENTIALS", "PEER_FAILED", "PEER_REFUSED"),
    *("PEER_UNAVAILABLE", "PEER_UNCERTAIN"),
}


def errors(cls: type[MemoraError] = MemoraError) -> set[type[MemoraError]]:
    below = cls.__subclasses__()
    return {cls}.union(*(errors(one) for one in below))


def test_every_error_of_the_api_is_in_the_table():
    codes = {error.code for error in errors() if error.__module__[:5] != "tests"}
    assert codes - ONLY_IN_THE_ADMIN <= ERROR_CODES.keys()
    assert not ONLY_IN_THE_ADMIN & ERROR_CODES.keys()


def test_an_error_s_details_are_those_of_the_table():
    for error in errors():
        if error.details_type is not None:
            assert ERROR_CODES[error.code].details is error.details_type, error


def table() -> str:
    lines = [
        "| Status | `error_code` | `details` | Meaning | What the app does | Queued |",
        "|---|---|---|---|---|---|",
    ]
    with translation.override("en"):
        for code, entry in sorted(ERROR_CODES.items(), key=lambda one: one[1].status):
            fields = hints_of(entry.details) if entry.details else ()
            details = ", ".join(f"`{name}`" for name in fields)
            lines.append(
                f"| {entry.status} | `{code}` | {details} | {entry.meaning} "
                f"| {entry.advice} | {entry.queued} |"
            )
    return "\n".join(lines)


def test_the_page_lists_every_code():
    before, mark, _written = PAGE.read_text().partition("<!-- codes -->\n")
    page = f"{before}{mark}{table()}\n"
    if os.environ.get("MEMORA_WRITE_ERRORS"):
        PAGE.write_text(page)
    assert PAGE.read_text() == page, "make error-codes writes it anew"


@pytest.mark.parametrize("queued", Queued)
def test_the_page_explains_what_happens_to_a_queued_request(queued):
    assert f"- **{queued}**:" in PAGE.read_text()


def test_no_text_names_a_code_that_is_not_in_the_table():
    with translation.override("en"):
        texts = " ".join(f"{one.meaning} {one.advice}" for one in ERROR_CODES.values())
    assert set(re.findall(r"\b[A-Z]+_[A-Z_]+\b", texts)) <= ERROR_CODES.keys()

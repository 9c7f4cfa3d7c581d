"""What schemathesis needs to know beyond the schema; its configuration names this module."""

import re
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData

ZONES = ["Asia/Riyadh", "Africa/Cairo", "Europe/Berlin", "UTC", ""]

VERSIONS = st.from_regex(
    r"((ios|android)/)?[1-9][0-9]?\.[1-9][0-9]?\.[1-9][0-9]?(-beta\.[1-9])?",
    fullmatch=True,
)

# Formats whose rules are not in the schema.
schemathesis.openapi.format("iana-time-zone", st.sampled_from(ZONES))
schemathesis.openapi.format("app-version", VERSIONS)
schemathesis.openapi.format(
    "visible-text", st.text("abc سارة", max_size=20).map("L{}".format)
)

RIGHTLY_REFUSED = (
    b'"error_code":"NO_HEARTS"',  # a lesson that ends without hearts
    b'"error_code":"INVALID_RESET_CODE"',
    b'"fields":{"photo":',  # bytes that are no picture
    b'"fields":{"new_password":["Th',  # "This password is too common", "The password …"
    # Values of a student that no schema knows, or of which only the server knows.
    *(b"There is no plan \xe2\x80\x9c", b"There is no grade \xe2\x80\x9c"),
    *(
        b"A product code can contain only",
        b"is in enroll and in",
        b"is in grant and in",
    ),
    *(b"A new student needs an e-mail address.", b'"fields":{"email":["Enter a valid'),
    *(b'"fields":{"phone":["', b'"fields":{"name":["', b'"fields":{"groups":["'),
    *(b'"fields":{"school_number":["', b"must be an ISO 8601 time with its zone"),
)
"""Requests that the schema allows, and no schema could tell from others."""


@schemathesis.hook
def filter_failure(_context: Any, failure: Any, _case: Any, response: Any) -> bool:
    """Return whether the failure counts."""
    if isinstance(failure, AcceptedNegativeData):
        # An event of a batch that is not valid is rejected for itself.
        return b'"status":"rejected"' not in response.content
    return not isinstance(failure, RejectedPositiveData) or not any(
        text in response.content for text in RIGHTLY_REFUSED
    )


TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
THE_FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@schemathesis.check
def times_have_one_form(_context: Any, response: Any, _case: Any) -> None:
    """Every time in an answer is in UTC and in seconds: 2026-11-29T17:03:05Z."""
    if response.headers.get("content-type") != ["application/json"]:
        return
    waiting = [response.json()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict | list):
            waiting.extend(value.values() if isinstance(value, dict) else value)
        elif isinstance(value, str) and TIME.match(value):
            assert THE_FORM.fullmatch(value), value

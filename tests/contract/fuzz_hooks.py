"""What schemathesis needs to know beyond the schema; its configuration names this module."""

from typing import Any

import schemathesis
from hypothesis import strategies as st
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
)
"""Requests that the schema allows, and no schema could tell from others."""


@schemathesis.hook
def filter_failure(_context: Any, failure: Any, _case: Any, response: Any) -> bool:
    """Return whether the failure counts."""
    return not isinstance(failure, RejectedPositiveData) or not any(
        text in response.content for text in RIGHTLY_REFUSED
    )

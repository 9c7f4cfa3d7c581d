"""Answers of the API, rendered when they are made."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse

from core.api_types import to_json


class ApiResponse(HttpResponse):
    """An answer as JSON; None is an empty body without a type.

    ``answer`` is what it was made of.

    The API has one format, so nothing is negotiated and no template is involved: half
    the cost of DRF's response.
    """

    def __init__(
        self,
        answer: Any = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.answer = answer
        if answer is None:
            super().__init__(status=status, headers=headers)
            del self.headers["Content-Type"]
            return
        super().__init__(
            to_json(answer),
            content_type="application/json",
            status=status,
            headers=headers,
        )

"""JSON for the API, by orjson: a third of the cost of the standard library."""

from collections.abc import Mapping
from typing import IO, Any

import orjson
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from core import json_limits
from core.api_types import to_json

MAX_BODY_BYTES = 100_000
"""Four times the size of a request with the maximum number of reviews."""


class JSONNegotiation(DefaultContentNegotiation):
    """Answer JSON whatever the client accepts, where a view has no other renderer.

    DRF's negotiation costs a tenth of a small request.
    """

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Return the parser of JSON; None, which is a 415, for another body."""
        if len(parsers) == 1 and request.content_type == parsers[0].media_type:
            return parsers[0]
        return super().select_parser(request, parsers)

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> Any:
        if len(renderers) == 1:
            return renderers[0], renderers[0].media_type
        return super().select_renderer(request, renderers, format_suffix)


class OrjsonRenderer(JSONRenderer):
    """Render responses with `core.api_types.to_json`."""

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        return b"" if data is None else to_json(data)


class OrjsonParser(JSONParser):
    """Parse a JSON body of at most `MAX_BODY_BYTES` and `json_limits.MAX_DEPTH`.

    Raises:
        ParseError: it is larger, deeper, or not JSON (400, never a 500).
    """

    renderer_class = OrjsonRenderer

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            data = stream.read(MAX_BODY_BYTES + 1)
            return json_limits.loads(data, max_bytes=MAX_BODY_BYTES)
        except json_limits.JSONLimitError:
            raise ParseError(
                _("The body is larger than %(limit)d KB or nested too deeply.")
                % {"limit": MAX_BODY_BYTES // 1000}
            ) from None
        except orjson.JSONDecodeError as error:
            raise ParseError(
                _("The body is not valid JSON: %(reason)s") % {"reason": error}
            ) from None

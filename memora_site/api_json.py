"""JSON for the API, by orjson: three times cheaper than the standard library."""

from collections.abc import Mapping
from typing import IO, Any

import orjson
from django.utils.translation import gettext as _
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser
from rest_framework.renderers import JSONRenderer


class OrjsonRenderer(JSONRenderer):
    """Answers in UTF-8 JSON."""

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        if data is None:
            return b""
        return orjson.dumps(data, default=str)


class OrjsonParser(JSONParser):
    """Reads a JSON body.

    Raises:
        ParseError: the body is not JSON (400, never a 500).
    """

    renderer_class = OrjsonRenderer

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            return orjson.loads(stream.read())
        except orjson.JSONDecodeError as error:
            raise ParseError(
                _("The body is not valid JSON: %(reason)s") % {"reason": error}
            ) from None

"""The views of the API's schema; `memora_site.openapi` makes it."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpResponse, HttpResponseNotModified
from django.utils import translation
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request

from memora_site.student_api import language_of
from progress.services import etags


@dataclass(frozen=True, slots=True)
class Document:
    """A rendered schema, and its ETag."""

    body: bytes
    etag: str


_RENDERERS = {"json": OpenApiJsonRenderer, "yaml": OpenApiYamlRenderer}


@lru_cache(maxsize=8)
def document(language: str, form: str, _site_url: str) -> Document:
    """Return the schema in a language, as JSON or YAML, made once per process.

    Making it takes about a second; it changes only with the code and the site's URL.
    """
    with translation.override(language):
        schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
        rendered = _RENDERERS[form]().render(schema, renderer_context={})
    body = rendered.encode() if isinstance(rendered, str) else rendered
    digest = hashlib.blake2b(body, digest_size=16).hexdigest()
    return Document(body, f'"{digest}"')


class SchemaView(SpectacularAPIView):
    """The schema, in the language of ``Accept-Language``; without one in English.

    With an ETag: a client that has it gets a 304.
    """

    authentication_classes = ()
    permission_classes = (AllowAny,)
    schema = None  # not part of the schema

    def get(self, request: Request, *_args: Any, **_kwargs: Any) -> HttpResponse:
        asked = request.GET.get("lang") or request.headers.get("Accept-Language", "")
        language = language_of(asked, "en")
        renderer = request.accepted_renderer
        found = document(language, renderer.format, settings.SITE_URL)
        headers = {
            "ETag": found.etag,
            "Cache-Control": "no-cache",
            "Content-Language": language,
            "Vary": "Accept, Accept-Language",
        }
        if etags.is_current(found.etag, request.headers.get("If-None-Match")):
            return HttpResponseNotModified(headers=headers)
        name = f"Memora.{renderer.format}"
        headers["Content-Disposition"] = f'inline; filename="{name}"'
        return HttpResponse(
            found.body, content_type=renderer.media_type, headers=headers
        )


class SchemaPage(SpectacularSwaggerSplitView):
    """A page that shows the schema and sends requests.

    The split view has its script in a file: the CSP allows no inline scripts.
    """

    authentication_classes = ()
    permission_classes = (AllowAny,)
    schema = None  # not part of the schema

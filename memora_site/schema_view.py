"""The views of the API's schema; `memora_site.openapi` makes it."""

from typing import Any

from django.utils import translation
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from memora_site.student_api import language_of


class SchemaView(SpectacularAPIView):
    """The schema, in the language of ``Accept-Language``; without one in English."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    schema = None  # not part of the schema

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        asked = request.headers.get("Accept-Language", "")
        language = language_of(asked, "en")
        with translation.override(language):
            response: Response = super().get(  # type: ignore[no-untyped-call]
                request, *args, **kwargs
            )
            response.headers["Content-Language"] = language
            return response


class SchemaPage(SpectacularSwaggerSplitView):
    """A page that shows the schema and sends requests.

    The split view has its script in a file: the CSP allows no inline scripts.
    """

    authentication_classes = ()
    permission_classes = (AllowAny,)
    schema = None  # not part of the schema

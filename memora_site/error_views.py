"""Answers where no view answered: JSON under ``/api/``, pages elsewhere."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.utils.translation import gettext as _
from django.views import defaults

from memora_site.api_errors import error_body


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """400: a request that is malformed, too large or for another host."""
    if _is_api(request):
        body = error_body("INVALID_BODY", _("The request is malformed."))
        return JsonResponse(body, status=400)
    return defaults.bad_request(request, exception)


def permission_denied(
    request: HttpRequest, exception: PermissionDenied
) -> HttpResponseBase:
    """403."""
    if _is_api(request):
        body = error_body("PERMISSION_DENIED", _("You may not do this."))
        return JsonResponse(body, status=403)
    return defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """404."""
    if _is_api(request):
        body = error_body("NOT_FOUND", _("There is nothing here."))
        return JsonResponse(body, status=404)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """500: an error of ours; the log has it, the answer does not."""
    if _is_api(request):
        body = error_body(
            "INTERNAL_ERROR", _("Something went wrong on our side. It has been noted.")
        )
        return JsonResponse(body, status=500)
    return defaults.server_error(request)

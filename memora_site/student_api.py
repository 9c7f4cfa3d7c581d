"""A short chain of middleware for the students' API.

The site's middleware is for pages: sessions, CSRF, messages, history, lockouts of the
admin. Requests with a bearer token, sign-ins and password resets need none of it and go through
`StudentApiMiddleware` alone. It does what the API promises: security headers, one line
in the log, the language of ``Accept-Language``, CORS, rate-limit headers, the audit of
refusals. All other requests go through the whole chain.
"""

import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

from corsheaders.middleware import CorsMiddleware
from django.conf import settings
from django.core.handlers.base import BaseHandler
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse
from django.http.response import ResponseHeaders
from django.urls import ResolverMatch, resolve
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.translation import get_supported_language_variant
from django.utils.translation.trans_real import parse_accept_lang_header

from core import time_budget
from memora_site import request_log
from players.middleware import AuditMiddleware
from players.throttling import RateLimitHeadersMiddleware

View = Callable[[HttpRequest], HttpResponse]

_API = "/api/v1/"
_STAFF_API = "/api/v1/admin/"
_OPEN = frozenset(
    {
        "/api/v1/auth/login/",
        "/api/v1/auth/password-reset/",
        "/api/v1/auth/password-reset/confirm/",
    }
)
"""What a student sends without a token."""
_CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'"
"""Answers of the API are data: a browser that shows one loads and runs nothing."""
_MAX_HOSTS = 100
_MAX_PATHS = 10_000
"""Paths that a process remembers; most contain the id of a lesson or a subject."""


class StudentApiMiddleware:
    """Answer requests of the students' API; pass all others on.

    It also limits how long a request of the API waits for Redis and the database
    (`core.time_budget`), and adds the slash that a path of the API lacks: no redirect,
    which would turn a POST into a GET.
    """

    def __init__(self, get_response: View) -> None:
        self._whole_chain = get_response
        views = RateLimitHeadersMiddleware(AuditMiddleware(_view_handler()))
        self._views = views
        # Any: its type is that of synchronous and asynchronous views.
        self._views_with_cors: Any = CorsMiddleware(views)
        self._hosts: set[str] = set()
        self._headers = {
            language: _constant_headers(language)
            for language, _name in settings.LANGUAGES
        }
        self._strict_transport = _strict_transport()

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(_API):
            return self._whole_chain(request)
        if not request.path_info.endswith("/"):
            request.path_info += "/"
            request.path += "/"
        if not self._is_students(request):
            return self._whole_chain(request)
        with time_budget.STUDENT_REQUEST:
            return self._answer(request)

    def _is_students(self, request: HttpRequest) -> bool:
        meta, path = request.META, request.path_info
        return (
            (
                meta.get("HTTP_AUTHORIZATION", "")[:7].lower() == "bearer "
                or path in _OPEN
            )
            and request.method != "OPTIONS"
            and not path.startswith(_STAFF_API)
            # SecurityMiddleware redirects to https.
            and (not settings.SECURE_SSL_REDIRECT or request.is_secure())
            and self._is_for_us(request)
        )

    def _is_for_us(self, request: HttpRequest) -> bool:
        """Return whether the Host header is ours; remembers the hosts that are."""
        host = request.META.get("HTTP_HOST", "")
        if host not in self._hosts:
            request.get_host()  # raises DisallowedHost: 400
            if len(self._hosts) < _MAX_HOSTS:
                self._hosts.add(host)
        return True

    def _answer(self, request: HttpRequest) -> HttpResponse:
        started = time.perf_counter()
        request_id = request_log.begin()
        language = language_of(
            request.META.get("HTTP_ACCEPT_LANGUAGE", ""), settings.LANGUAGE_CODE
        )
        translation.activate(language)
        response: HttpResponse
        if "HTTP_ORIGIN" in request.META:
            response = self._views_with_cors(request)
        else:
            response = self._views(request)
        self._add_headers(request, response, language)
        request_log.end(
            request, request_id, response.status_code, time.perf_counter() - started
        )
        return response

    def _add_headers(
        self, request: HttpRequest, response: HttpResponse, language: str
    ) -> None:
        # Past `ResponseHeaders.__setitem__`, which checks and encodes constant values
        # for each response anew, at the price of a fifth of an empty view.
        headers: dict[str, tuple[str, str]] = response.headers._store
        vary = headers.get("vary")
        headers.update(self._headers[language])
        headers["content-length"] = ("Content-Length", str(len(response.content)))
        if vary is not None:
            patch_vary_headers(response, vary[1].split(", "))
        if self._strict_transport and request.is_secure():
            response.headers["Strict-Transport-Security"] = self._strict_transport


def _constant_headers(language: str) -> dict[str, tuple[str, str]]:
    """Return the headers that all answers in a language have, as Django keeps them."""
    headers = ResponseHeaders(
        {
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": settings.X_FRAME_OPTIONS,
            "Content-Security-Policy": _CONTENT_POLICY,
            "Referrer-Policy": settings.SECURE_REFERRER_POLICY,
            "Cross-Origin-Opener-Policy": settings.SECURE_CROSS_ORIGIN_OPENER_POLICY,
            "Content-Language": language,
            "Vary": "origin, Accept-Language",
        }
    )
    store: dict[str, tuple[str, str]] = headers._store
    return store


class _Handler(BaseHandler):
    """Django's own calling of views; it resolves a path once.

    Resolving tries one pattern after the other, which costs a fifth of an empty view.
    """

    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        match = _resolve(settings.ROOT_URLCONF, request.path_info)
        request.resolver_match = match
        return match


@lru_cache(maxsize=_MAX_PATHS)
def _resolve(urlconf: str, path: str) -> ResolverMatch:
    return resolve(path, urlconf)


def _view_handler() -> View:
    """Return the calling of views without middleware."""
    handler: Any = _Handler()
    handler._view_middleware = []
    handler._template_response_middleware = []
    handler._exception_middleware = []
    answer: Any = convert_exception_to_response(handler._get_response)
    return cast("View", answer)


def _strict_transport() -> str:
    if not settings.SECURE_HSTS_SECONDS:
        return ""
    return (
        f"max-age={settings.SECURE_HSTS_SECONDS}"
        + ("; includeSubDomains" if settings.SECURE_HSTS_INCLUDE_SUBDOMAINS else "")
        + ("; preload" if settings.SECURE_HSTS_PRELOAD else "")
    )


@lru_cache(maxsize=1000)
def language_of(accept_language: str, default: str) -> str:
    """Return the language of the API's texts for an ``Accept-Language`` header.

    ``default`` if the header names none of ours.
    """
    for code, _priority in parse_accept_lang_header(accept_language.lower()):
        try:
            return str(get_supported_language_variant(code))
        except LookupError:  # also for "*"
            continue
    return default

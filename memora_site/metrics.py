"""``/metrics`` for Prometheus; never public.

With ``MEMORA_METRICS_TOKEN`` every request must send it. Without it, only direct
requests from this machine are allowed: behind a proxy all requests seem local.
"""

import os
from collections.abc import Iterator
from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from memora_site import log_buffer
from players.metrics import PlayersCollector
from publishing.monitoring.metrics import PublishingCollector
from registrar.metrics import RegistrarCollector


class LogCollector(Collector):
    """What the process that answers has lost of its log."""

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(
            "memora_log_lines_dropped",
            "Lines of the log that a web process could not write, by its id.",
            labels=["pid"],
        )
        family.add_metric([str(os.getpid())], log_buffer.dropped_lines())
        yield family


REGISTRY = CollectorRegistry()
REGISTRY.register(LogCollector())
REGISTRY.register(PublishingCollector())
REGISTRY.register(PlayersCollector())
REGISTRY.register(RegistrarCollector())

_FORWARDED = (
    "HTTP_FORWARDED",
    "HTTP_VIA",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_REAL_IP",
)
"""Headers that proxies add; any of them means that there is a proxy."""


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics; 401 or 403 if the request may not read them."""
    if settings.METRICS_TOKEN:
        if not _has_token(request):
            return _refusal(401, "The metrics need a bearer token.")
    elif not _is_from_here(request):
        return _refusal(
            403, "The metrics are for this machine, or for MEMORA_METRICS_TOKEN."
        )
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(REGISTRY), content_type=content_type)


def _has_token(request: HttpRequest) -> bool:
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    right = constant_time_compare(token.strip(), settings.METRICS_TOKEN)
    return scheme.lower() == "bearer" and right


def _is_from_here(request: HttpRequest) -> bool:
    if any(header in request.META for header in _FORWARDED):
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def _refusal(status: int, words: str) -> HttpResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return HttpResponse(
        f"{words}\n", status=status, content_type="text/plain", headers=headers
    )

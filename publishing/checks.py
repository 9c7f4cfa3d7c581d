"""System checks of publishing's settings."""

from collections.abc import Iterator
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from core import private_hosts
from core.checks import time_zone_errors
from publishing.monitoring.health import WEEKDAYS


@register()
def check_secrets_keys(**_kwargs: Any) -> list[CheckMessage]:
    """Check that each key in ``SECRETS_KEYS`` is a Fernet key."""
    for position, key in enumerate(settings.SECRETS_KEYS, start=1):
        try:
            Fernet(key)
        except ValueError:
            return [
                Error(
                    f"Key {position} in MEMORA_SECRETS_KEYS is not a Fernet key.",
                    hint="Create one: python -c 'from cryptography.fernet import Fernet; "
                    "print(Fernet.generate_key().decode())'",
                    id="publishing.E004",
                )
            ]
    return []


@register()
def check_private_hosts(**_kwargs: Any) -> list[CheckMessage]:
    """Check that each entry of ``PRIVATE_HOSTS`` is a host or ``host:port``."""
    for entry in settings.PRIVATE_HOSTS:
        try:
            private_hosts.parse(entry)
        except ValueError:
            return [
                Error(
                    f"MEMORA_PRIVATE_HOSTS has {entry!r}, which is not a host.",
                    hint="List hosts such as minio.school.lan or 10.0.0.5:9000, without a "
                    "scheme, path or wildcard, separated by commas.",
                    id="publishing.E005",
                )
            ]
    return []


@register()
def check_health_hours(**_kwargs: Any) -> list[CheckMessage]:
    """Check the time zone, weekdays and hours of the health checks."""
    return [*_zone(), *_weekdays(), *_hours()]


def _zone() -> Iterator[CheckMessage]:
    zone = settings.HEALTH_TIME_ZONE
    return time_zone_errors("MEMORA_HEALTH_TIME_ZONE", zone, id="publishing.E001")


def _weekdays() -> Iterator[CheckMessage]:
    if unknown := set(settings.HEALTH_WEEKDAYS) - set(WEEKDAYS):
        yield Error(
            f"MEMORA_HEALTH_WEEKDAYS has unknown days: {', '.join(sorted(unknown))}.",
            hint=f"Use the weekdays {','.join(WEEKDAYS)}.",
            id="publishing.E002",
        )


def _hours() -> Iterator[CheckMessage]:
    for name in ("FIRST_HOUR", "LAST_HOUR", "NIGHT_HOUR"):
        if not 0 <= (hour := getattr(settings, f"HEALTH_{name}")) <= 23:
            yield Error(
                f"MEMORA_HEALTH_{name} is {hour}.",
                hint="Hours must be from 0 to 23.",
                id="publishing.E003",
            )

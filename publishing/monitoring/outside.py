"""Alerts about problems of apps that publishing does not know."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.functional import Promise

from core.hooks import Registry
from publishing import alerts
from publishing.models import AlertKind


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of another app.

    Args:
        key: identifies it within its kind.
        message: what is wrong and what to do, with ``%(name)s`` placeholders.
    """

    key: str
    message: str | Promise
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the problems of one kind of alert are found.

    Args:
        find: returns all problems that there are at a time; reads the database only.
    """

    kind: AlertKind
    find: Callable[[datetime], list[Problem]]


sources: Registry[Source] = Registry()


def check(now: datetime) -> None:
    """Raise or resolve the alerts of all sources. One query for each more than its own
    while nothing changes.

    Raises:
        django.db.Error: the database is unavailable.
    """
    for source in sources:
        found = source.find(now)
        for problem in found:
            alerts.raise_alert(
                kind=source.kind,
                key=problem.key,
                message=problem.message,
                values=problem.values,
            )
        keys = [problem.key for problem in found]
        alerts.resolve_all(alerts.open_alerts(source.kind).exclude(key__in=keys))

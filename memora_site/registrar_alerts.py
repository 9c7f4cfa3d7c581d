"""Alerts about the registrar: its faults that have a runbook are mailed."""

from datetime import datetime

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from publishing.models import AlertKind
from publishing.monitoring import outside
from publishing.monitoring.outside import Problem
from registrar import faults

_RUNBOOK = _("docs/runbooks/%(runbook)s tells what to do.")


def find(now: datetime) -> list[Problem]:
    """Return the registrar's problems; none while it is off."""
    health = faults.load(now)
    if not health.connections.is_on:
        return []
    return [
        Problem(
            fault.key,
            format_lazy("{} {} {}", fault.message, fault.advice, _RUNBOOK),
            {**fault.values, "runbook": fault.runbook},
        )
        for fault in health.faults
        if fault.runbook
    ]


outside.sources.add(outside.Source(AlertKind.REGISTRAR, find))

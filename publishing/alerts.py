"""Alerts for System Managers: one open alert per problem, one mail per alert.

A unique column ensures that at most one alert per problem is open. The mail is sent
after the commit, so a failing mail server stops no build; `send_unsent` retries every
minute.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial

import structlog
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from publishing.models import Alert, AlertKind

log = structlog.get_logger(__name__)

RECIPIENTS = "System Managers"
"""The group that gets the mails; if it has no active members, superusers get them."""
_REOPEN_WINDOW = timedelta(minutes=15)
"""A problem that returns this soon reopens its alert and sends no new mail."""
_SENDING_LEASE = timedelta(minutes=5)


def raise_alert(
    *,
    kind: AlertKind,
    key: str,
    message: str | Promise,
    values: Mapping[str, object] | None = None,
) -> Alert:
    """Open an alert, or update the one already open.

    Args:
        key: identifies the problem within its kind, such as a plan's id; "" if there is
            only one.
        message: what happened and what to do, with ``%(name)s`` placeholders; a lazy
            text is translated to ``LANGUAGE_CODE``.
        values: the values of the placeholders.
    """
    with translation.override(settings.LANGUAGE_CODE):
        text = str(message) % values if values else str(message)
    now = timezone.now()
    with transaction.atomic():
        alert = _reopen(kind, key, now)
        if alert is None:
            alert, opened = Alert.objects.get_or_create(
                open_key=_open_key(kind, key),
                defaults={
                    "kind": kind,
                    "key": key,
                    "message": text,
                    "raised_at": now,
                    "seen_at": now,
                },
            )
            if opened:
                log.warning("alert_raised", kind=kind, key=key, message=text)
        alert.message, alert.seen_at = text, now
        alert.save(update_fields=["message", "seen_at"])
        if alert.sent_at is None:
            transaction.on_commit(partial(_send, alert.pk), robust=True)
    return alert


def resolve(*, kind: AlertKind, key: str) -> bool:
    """Close the alert; return False if none was open."""
    closed = Alert.objects.filter(open_key=_open_key(kind, key)).update(
        open_key=None, resolved_at=timezone.now()
    )
    if closed:
        log.info("alert_resolved", kind=kind, key=key)
    return bool(closed)


def open_alerts(kind: AlertKind) -> QuerySet[Alert]:
    """Return the open alerts of a kind."""
    return Alert.objects.filter(kind=kind, open_key__isnull=False)


def resolve_all(alerts: QuerySet[Alert]) -> None:
    """Close these open alerts."""
    for kind, key in list(alerts.values_list("kind", "key")):
        resolve(kind=AlertKind(kind), key=key)


def send_unsent() -> int:
    """Mail the open alerts not mailed yet; return how many were sent."""
    unsent = Alert.objects.filter(open_key__isnull=False, sent_at__isnull=True)
    return sum(_send(pk) for pk in unsent.order_by("pk").values_list("pk", flat=True))


def recipients() -> list[str]:
    """Return the addresses for alerts. One query, or two if the group is empty."""
    active = get_user_model()._default_manager.filter(is_active=True).order_by("pk")
    members = active.filter(groups__name=RECIPIENTS).values_list("email", flat=True)
    return list(members) or list(
        active.filter(is_superuser=True).values_list("email", flat=True)
    )


def _open_key(kind: AlertKind, key: str) -> str:
    return f"{kind.value}:{key}"


def _reopen(kind: AlertKind, key: str, now: datetime) -> Alert | None:
    """Reopen and return the alert if it was closed a short time ago, else None."""
    open_key = _open_key(kind, key)
    last = (
        Alert.objects.filter(kind=kind, key=key).order_by("-raised_at", "-pk").first()
    )
    if (
        last is None
        or last.resolved_at is None
        or last.resolved_at < now - _REOPEN_WINDOW
    ):
        return None
    # Two processes may reopen it at once. The row lock makes the second one wait and
    # then find the alert open; the unique column permits only one open alert.
    last = Alert.objects.select_for_update().get(pk=last.pk)
    if last.open_key is None:
        last.open_key, last.resolved_at = open_key, None
        last.save(update_fields=["open_key", "resolved_at"])
        log.warning("alert_came_back", kind=kind, key=key)
    return last


def _send(alert_pk: int) -> bool:
    """Mail one alert, unless it was sent or another process is sending it.

    A failure of the mail is logged and not raised; the alert stays unsent and is
    retried.
    """
    now = timezone.now()
    free = Q(sending_until__isnull=True) | Q(sending_until__lt=now)
    unsent = Alert.objects.filter(
        free, pk=alert_pk, sent_at__isnull=True, open_key__isnull=False
    )
    if not unsent.update(sending_until=now + _SENDING_LEASE):
        return False
    alert = Alert.objects.get(pk=alert_pk)
    to = recipients()
    try:
        if to:
            _mail(alert, to)
    except Exception as error:  # noqa: BLE001 - whatever a mail backend raises
        log.warning("alert_not_sent", kind=alert.kind, error=type(error).__name__)
        to = []
    else:
        if not to:
            log.warning("alert_has_no_recipient", kind=alert.kind)
    Alert.objects.filter(pk=alert_pk).update(
        sending_until=None, sent_at=timezone.now() if to else None
    )
    return bool(to)


def _mail(alert: Alert, to: list[str]) -> None:
    with translation.override(settings.LANGUAGE_CODE):
        subject = _("[Memora] %(what)s") % {"what": str(alert)}
        body = _("%(message)s\n\nThe publishing pages of the admin: %(url)s") % {
            "message": alert.message,
            "url": settings.SITE_URL + reverse("admin:index"),
        }
    # BCC hides the recipients from each other: they may belong to other organisations.
    EmailMessage(subject=subject, body=body, bcc=to).send()

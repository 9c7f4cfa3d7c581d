"""Store, read and delete drafts."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from content.models import FormDraft
from content.unfinished import MAX_BYTES
from core.fields import CanonicalJSONEncoder

MAX_PER_USER = 50
"""Of more drafts of one editor, the oldest are deleted."""

Fields = Sequence[tuple[str, str]]
"""The names and values of a form's fields, in order."""


def save(*, user_pk: int, page: str, fields: Fields, now: datetime) -> None:
    """Store the draft of an editor, in place of the one before.

    Raises:
        ValidationError: it is larger than `MAX_BYTES`.
    """
    data = [[name, value] for name, value in fields]
    if len(CanonicalJSONEncoder().encode(data).encode()) > MAX_BYTES:
        raise ValidationError(
            _("These changes are too large to be kept as a draft. Save the page.")
        )
    FormDraft.objects.update_or_create(
        user_id=user_pk, page=page, defaults={"data": data, "saved_at": now}
    )
    own = FormDraft.objects.filter(user_id=user_pk).order_by("-saved_at", "-pk")
    if extra := list(own.values_list("pk", flat=True)[MAX_PER_USER:]):
        FormDraft.objects.filter(pk__in=extra).delete()


def load(*, user_pk: int, page: str) -> FormDraft | None:
    """Return the editor's draft of the page. One query."""
    found: FormDraft | None = FormDraft.objects.filter(
        user_id=user_pk, page=page
    ).first()
    return found


def of_others(*, user_pk: int, page: str) -> QuerySet[FormDraft]:
    """Return the drafts of other editors of the page, with their users."""
    others: QuerySet[FormDraft] = FormDraft.objects.filter(page=page)
    return others.exclude(user_id=user_pk).select_related("user").defer("data")


def discard(*, user_pk: int, page: str) -> None:
    """Delete the editor's draft of the page, if there is one."""
    FormDraft.objects.filter(user_id=user_pk, page=page).delete()


def delete_expired(now: datetime) -> int:
    """Delete drafts older than ``MEMORA_DRAFT_DAYS``; return how many. 0: none expires."""
    if not settings.DRAFT_DAYS:
        return 0
    limit = now - timedelta(days=settings.DRAFT_DAYS)
    count, _by_model = FormDraft.objects.filter(saved_at__lt=limit).delete()
    return count

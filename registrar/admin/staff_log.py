"""What staff did with the registrar's rows, for the admin's log."""

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.http import HttpRequest


def note(
    request: HttpRequest,
    model: type[Model],
    message: str,
    *,
    row: Model | None = None,
    shown: str = "",
) -> None:
    """Add one entry to the admin's log.

    Args:
        row: the row in question; None for several.
        shown: how the log names it. No names of students: the log outlives them.
    """
    LogEntry.objects.create(
        user_id=int(request.user.pk or 0),
        content_type=ContentType.objects.get_for_model(model),
        object_id=str(row.pk) if row is not None else None,
        object_repr=shown[:200],
        action_flag=CHANGE,
        change_message=message,
    )

"""When students may send requests of a kind."""

from dataclasses import dataclass
from datetime import datetime

from registrar.models import WINDOWED, RequestKind, RequestWindow


@dataclass(frozen=True, slots=True)
class Window:
    """Whether a kind is open now, and the bounds that staff have set."""

    is_open: bool
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    is_announced: bool = False
    """Whether it is enabled, and opens later."""


ALWAYS = Window(is_open=True)
CLOSED = Window(is_open=False)


def windows(*, now: datetime) -> dict[RequestKind, Window]:
    """Return the window of every kind. One query.

    Kinds of `WINDOWED` are closed unless staff have enabled them; all others are open.
    """
    rows = {row.kind: row for row in RequestWindow.objects.all()}
    return {
        kind: _window(rows.get(kind), now=now) if kind in WINDOWED else ALWAYS
        for kind in RequestKind
    }


def _window(row: RequestWindow | None, *, now: datetime) -> Window:
    if row is None or not row.is_enabled:
        return CLOSED
    has_begun = row.opens_at is None or row.opens_at <= now
    has_ended = row.closes_at is not None and row.closes_at <= now
    return Window(
        is_open=has_begun and not has_ended,
        opens_at=row.opens_at,
        closes_at=row.closes_at,
        is_announced=not has_begun,
    )

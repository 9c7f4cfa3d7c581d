"""What a deletion does elsewhere: what apps to the right can say of it.

Content knows no plans, plans know no students. An app that does registers here when it
starts, and the page that asks before a deletion shows what each says.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.db.models import Model

WarningProvider = Callable[[Sequence[Any]], str]
"""Says in a sentence what deleting these rows does, or "" where it does nothing; in a
fixed number of queries."""

_providers: dict[type[Model], list[WarningProvider]] = defaultdict(list)


def warns_before_deleting(
    model: type[Model],
) -> Callable[[WarningProvider], WarningProvider]:
    """Ask the decorated function, too, before rows of ``model`` are deleted."""

    def register(teller: WarningProvider) -> WarningProvider:
        _providers[model].append(teller)
        return teller

    return register


def deletion_warnings(rows: Sequence[Model]) -> Iterator[str]:
    """What they say of these rows, which are of one model."""
    tellers = _providers[type(rows[0])] if rows else []
    return (said for teller in tellers if (said := teller(rows)))

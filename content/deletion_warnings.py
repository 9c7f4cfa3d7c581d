"""What a deletion does elsewhere: what apps to the right can say of it.

Content knows no plans, plans know no students. An app that does registers here when it
starts, and the page that asks before a deletion shows what each says.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.db.models import Model

Teller = Callable[[Sequence[Any]], str]
"""Says in a sentence what deleting these rows does, or "" where it does nothing; in a
fixed number of queries."""

_tellers: dict[type[Model], list[Teller]] = defaultdict(list)


def tell(model: type[Model]) -> Callable[[Teller], Teller]:
    """Ask the decorated function, too, before rows of ``model`` are deleted."""

    def register(teller: Teller) -> Teller:
        _tellers[model].append(teller)
        return teller

    return register


def of_deleting(rows: Sequence[Model]) -> Iterator[str]:
    """What they say of these rows, which are of one model."""
    tellers = _tellers[type(rows[0])] if rows else []
    return (said for teller in tellers if (said := teller(rows)))

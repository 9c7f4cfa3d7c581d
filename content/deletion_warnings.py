"""Warnings of other apps before a deletion.

``content`` must not import plans, and ``plans`` must not import students. An app with a
warning registers a function at start-up, and the confirmation page shows its warnings.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from django.db.models import Model

WarningProvider = Callable[[Sequence[Any]], str]
"""Returns a sentence about the effects of deleting these rows, or "".

It uses a fixed number of queries.
"""

_providers: dict[type[Model], list[WarningProvider]] = defaultdict(list)


def warns_before_deleting(
    model: type[Model],
) -> Callable[[WarningProvider], WarningProvider]:
    """Register the decorated function for deletions of rows of ``model``."""

    def register(teller: WarningProvider) -> WarningProvider:
        _providers[model].append(teller)
        return teller

    return register


def deletion_warnings(rows: Sequence[Model]) -> Iterator[str]:
    """Yield the warnings for these rows, which are all of one model."""
    tellers = _providers[type(rows[0])] if rows else []
    return (said for teller in tellers if (said := teller(rows)))

"""Registries for what other apps add to an app that does not import them.

The app declares a `Registry` or a `Hook`. The other apps add their entries in
``AppConfig.ready()``, or in a module that it imports (docs/architecture.md, "Layers").
"""

from collections.abc import Callable, Iterator
from typing import Generic, ParamSpec, TypeVar

Entry = TypeVar("Entry")
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Registry(Generic[Entry]):
    """The entries that other apps add at start-up, in the order of their addition."""

    def __init__(self, *, single: bool = False) -> None:
        """Create an empty registry; one that is ``single`` accepts only one entry."""
        self._entries: list[Entry] = []
        self._is_single = single

    def add(self, entry: Entry) -> Entry:
        """Add ``entry`` and return it; usable as a decorator. Idempotent.

        Raises:
            ValueError: the registry is single and has another entry.
        """
        if entry not in self._entries:
            if self._is_single and self._entries:
                raise ValueError(f"{entry!r} cannot replace {self._entries[0]!r}")
            self._entries.append(entry)
        return entry

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    @property
    def only(self) -> Entry:
        """The entry of a single registry.

        Raises:
            LookupError: no app has added it.
        """
        if not self._entries:
            raise LookupError("no entry: is the app that adds it in INSTALLED_APPS?")
        return self._entries[0]


class Hook(Registry[Callable[Arguments, Result]], Generic[Arguments, Result]):
    """Functions of other apps that are called together."""

    def __call__(
        self, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> list[Result]:
        """Call each function and return the results that are not empty."""
        results = (function(*args, **kwargs) for function in self)
        return [result for result in results if result]

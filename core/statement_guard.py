"""Refuse SQL that changes or deletes rows of append-only tables.

Every statement of Django's connections passes `check` (`core.db_backends`): those of
managers, of plain query sets, of ``_raw_delete()`` and of cursors. A statement that is
sent with a program of the database does not; see docs/deploy.md.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, NoReturn


class AppendOnlyError(TypeError):
    """Code tried to change or delete an append-only row."""


_tables: set[str] = set()
_is_rewriting: ContextVar[bool] = ContextVar("append_only_rewriting", default=False)

_VERB = re.compile(r"\A(?:[\s(]++|/\*[^*]*+(?:\*(?!/)[^*]*+)*+\*/|--[^\n]*+\n)*+(\w++)")
_CHANGES = frozenset({"UPDATE", "DELETE", "REPLACE", "TRUNCATE", "DROP", "WITH"})
_AFTER_TARGET = re.compile(r"\b(?:SET|WHERE|VALUES|SELECT)\b|\(", re.IGNORECASE)
_CONFLICT = re.compile(r"\bOR\s{1,99}REPLACE\b|\bUPDATE\b", re.IGNORECASE)
_CHANGE_WITHIN = re.compile(r"(?<!FOR )\bUPDATE\b|\bDELETE\b", re.IGNORECASE)
_NAME = re.compile(r"(?<!\w)\w++")


def protect(table: str) -> None:
    """Refuse changes of this table's rows from now on."""
    _tables.add(table)
    _names_in.cache_clear()


@contextmanager
def rewriting() -> Iterator[None]:
    """Allow changes of append-only rows inside.

    For erasures, the retention of events, deleted accounts, migrations, and a flush of
    the whole database.
    """
    token = _is_rewriting.set(True)
    try:
        yield
    finally:
        _is_rewriting.reset(token)


def check(sql: Any) -> None:
    """Allow a statement, or refuse it.

    A statement that changes another table and reads a protected one is allowed, except
    in a join.

    Raises:
        AppendOnlyError: it changes or deletes rows of a protected table, outside of
            `rewriting`.
    """
    if _is_rewriting.get():
        return
    text = str(sql)
    read = _names_in if len(text) <= _MAX_KEPT else _names_in.__wrapped__
    for table in read(text) & _tables:
        refuse(table)


_MAX_KEPT = 10_000
"""Longer statements are read each time: those of bulk writes, which do not repeat."""


@lru_cache(maxsize=500)
def _names_in(text: str) -> frozenset[str]:
    """Return words of a statement, among which is the table that it changes, if any."""
    verb = _VERB.match(text)
    word = verb[1].upper() if verb else ""
    if verb and (word == "INSERT" or word in _CHANGES):
        return frozenset(_changed_names(word, text[verb.end() :]))
    return frozenset()


def _changed_names(word: str, rest: str) -> set[str]:
    """Return words of a statement, among which is the table that it changes.

    Args:
        word: its verb.
        rest: what follows the verb.
    """
    if word == "WITH":
        return set(_NAME.findall(rest)) if _CHANGE_WITHIN.search(rest) else set()
    names = set(_NAME.findall(_AFTER_TARGET.split(rest, maxsplit=1)[0]))
    if word == "INSERT" and not (names & _tables and _CONFLICT.search(rest)):
        return set()
    return names


def refuse(name: str) -> NoReturn:
    """Refuse a change.

    Raises:
        AppendOnlyError: always.
    """
    raise AppendOnlyError(f"{name} is append-only: add a row instead of changing one")

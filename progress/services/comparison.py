"""Comparing what Redis and the snapshots have of players with the ledger.

A value is compared only at its own position in the ledger, so a player who completes
lessons meanwhile is never reported. The order of reading decides what a position means:

1. The ledger's positions. A record that lacks one of them is behind, unless a writer has
   begun it.
2. Redis, then the snapshots. Each is at or before the ledger's position at that moment.
3. The ledger. A record or snapshot beyond it is ahead of it.

A snapshot is wrong, not only behind, if it lacks a row that a complete write-back has
covered (`write_back.settled_before`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

import structlog
from django.db.models import Q

from core.batches import batches
from players import bulk_records, wallet_sync, write_back
from players.models import PlayerProfile, PlayerWallet
from players.player_state import SubjectProgress, WalletState
from players.records import StoreUnavailableError
from progress import bitmap
from progress.models import StructureProgress
from progress.services import ledger, snapshots

log = structlog.get_logger(__name__)

Key = tuple[int, str]
"""A player and a subject."""
_WALLET_FIELDS = (
    "total_xp",
    "current_streak",
    "last_success_date",
    "last_played_at",
    "freezes",
)


class Store(StrEnum):
    REDIS = "redis"
    SNAPSHOT = "snapshot"


@dataclass(frozen=True, slots=True)
class Difference:
    """A field of a player's wallet or subject that is not what the ledger says.

    ``subject_id`` is "" for the wallet. ``field`` is ``seq`` where the position itself
    is wrong: ``found`` is then behind or ahead of the ledger, or None for a snapshot
    that is missing.
    """

    player_id: int
    store: Store
    subject_id: str
    field: str
    found: Any
    ledger: Any


@dataclass(slots=True)
class Comparison:
    """The result: the differences, and whether Redis was compared at all."""

    differences: list[Difference] = field(default_factory=list)
    redis_is_away: bool = False


def compare(player_ids: Sequence[int]) -> Comparison:
    """Compare these players' records and snapshots with the ledger.

    A fixed number of queries for up to 500 subjects. Erased players are left out. While
    Redis does not answer, only the snapshots are compared.
    """
    found = Comparison()
    players = PlayerProfile.objects.filter(pk__in=player_ids, erased_at=None)
    ids = list(players.order_by("pk").values_list("pk", flat=True))
    before = _expected(ids)
    try:
        held = _read_redis(ids, before.subjects)
    except StoreUnavailableError as error:
        log.warning("redis_not_compared", error=type(error).__name__)
        held, found.redis_is_away = _Redis(), True
    stored = _read_snapshots(ids)
    # Last: everything read above is at one of its positions, or wrong.
    wallets = ledger.wallets_of(ids)
    found.differences = [
        *_wallets_in_redis(held, before, wallets),
        *_subjects_in_redis(held, wallets),
        *_wallets_in_snapshots(stored, before, wallets),
        *_subjects_in_snapshots(stored, before, wallets),
    ]
    return found


# --- Reading --------------------------------------------------------------------------


class _Subject(NamedTuple):
    """The position of a subject's last change, and of the last settled one."""

    last: int
    settled: int | None


@dataclass(frozen=True, slots=True)
class _Expected:
    """Positions that records (``heads``) and snapshots have to contain."""

    heads: Mapping[int, int]
    settled: Mapping[int, int]
    subjects: Mapping[Key, _Subject]


@dataclass(frozen=True, slots=True)
class _Redis:
    wallets: Mapping[int, WalletState] = field(default_factory=dict)
    begun: Mapping[int, int] = field(default_factory=dict)
    subjects: Mapping[Key, tuple[int, SubjectProgress]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Snapshots:
    wallets: Mapping[int, PlayerWallet]
    subjects: Mapping[Key, StructureProgress]


def _expected(player_ids: Sequence[int]) -> _Expected:
    wallets = write_back.settled_before(wallet_sync.KIND)
    subjects = write_back.settled_before(snapshots.KIND)
    return _Expected(
        heads=ledger.heads_of(player_ids),
        settled=ledger.heads_of(player_ids, wallets) if wallets else {},
        subjects={
            key: _Subject(*positions)
            for key, positions in ledger.subject_heads(
                Q(player_id__in=player_ids), received_before=subjects
            ).items()
        },
    )


def _read_redis(player_ids: Sequence[int], wanted: Iterable[Key]) -> _Redis:
    if not player_ids:
        return _Redis()
    subjects: dict[Key, tuple[int, SubjectProgress]] = {}
    for part in batches(list(wanted)):
        held = bulk_records.read_subjects(part)
        subjects |= {key: one for key, one in zip(part, held, strict=True) if one}
    # Before the wallets: afterwards the writer may have finished, and a record that was
    # behind only for it would look wrong.
    begun = bulk_records.read_begun(player_ids)
    return _Redis(bulk_records.read_wallets(player_ids), begun, subjects)


def _read_snapshots(player_ids: Sequence[int]) -> _Snapshots:
    rows = StructureProgress.objects.filter(player_id__in=player_ids)
    return _Snapshots(
        PlayerWallet.objects.in_bulk(player_ids),
        {(row.player_id, row.subject_id): row for row in rows},
    )


def _subjects_of(positions: Mapping[Key, int]) -> dict[Key, SubjectProgress]:
    """Return the ledger's progress, each at its position."""
    found: dict[Key, SubjectProgress] = {}
    for part in batches(list(positions)):
        found |= ledger.subjects_at({key: positions[key] for key in part})
    return found


# --- Comparing ------------------------------------------------------------------------


def _wallets_in_redis(
    held: _Redis, before: _Expected, wallets: Mapping[int, WalletState]
) -> Iterator[Difference]:
    for player_id, state in held.wallets.items():
        truth = wallets[player_id]
        is_behind = (
            state.seq < before.heads.get(player_id, 0)
            and held.begun.get(player_id) != state.seq
        )
        if state.seq > truth.seq or is_behind:
            yield Difference(player_id, Store.REDIS, "", "seq", state.seq, truth.seq)
        elif state.seq == truth.seq:
            yield from _wallet(player_id, Store.REDIS, state, truth)
            if state.frozen_days != truth.frozen_days:
                both = state.frozen_days, truth.frozen_days
                yield Difference(player_id, Store.REDIS, "", "frozen_days", *both)


def _wallets_in_snapshots(
    stored: _Snapshots, before: _Expected, wallets: Mapping[int, WalletState]
) -> Iterator[Difference]:
    for player_id, truth in wallets.items():
        row = stored.wallets.get(player_id)
        settled = before.settled.get(player_id)
        if row is None:
            if settled is not None:
                yield Difference(player_id, Store.SNAPSHOT, "", "seq", None, truth.seq)
        elif row.seq > truth.seq or row.seq < (settled or 0):
            yield Difference(player_id, Store.SNAPSHOT, "", "seq", row.seq, truth.seq)
        elif row.seq == truth.seq:
            yield from _wallet(player_id, Store.SNAPSHOT, row, truth)


def _wallet(
    player_id: int, store: Store, state: WalletState | PlayerWallet, truth: WalletState
) -> Iterator[Difference]:
    for name in _WALLET_FIELDS:
        found, expected = getattr(state, name), getattr(truth, name)
        if found != expected:
            yield Difference(player_id, store, "", name, found, expected)


def _subjects_in_redis(
    held: _Redis, wallets: Mapping[int, WalletState]
) -> Iterator[Difference]:
    known = {
        key: (seq, progress)
        for key, (seq, progress) in held.subjects.items()
        if seq <= wallets[key[0]].seq  # else the wallet is reported
    }
    truths = _subjects_of({key: seq for key, (seq, _progress) in known.items()})
    for key, (_seq, progress) in known.items():
        yield from _subject(
            key, Store.REDIS, _record_values(progress), _record_values(truths[key])
        )


def _subjects_in_snapshots(
    stored: _Snapshots, before: _Expected, wallets: Mapping[int, WalletState]
) -> Iterator[Difference]:
    comparable = {
        key: row.seq
        for key, row in stored.subjects.items()
        if row.seq <= wallets[key[0]].seq
    }
    truths = _subjects_of(comparable)
    for key in sorted({*before.subjects, *stored.subjects}):
        last, settled = before.subjects.get(key, _Subject(0, None))
        row = stored.subjects.get(key)
        if row is None:
            if settled is not None:
                yield Difference(key[0], Store.SNAPSHOT, key[1], "seq", None, last)
        elif key not in comparable or row.seq < (settled or 0):
            yield Difference(key[0], Store.SNAPSHOT, key[1], "seq", row.seq, last)
        else:
            yield from _subject(
                key, Store.SNAPSHOT, _stored_values(row), _values(truths[key])
            )


def _subject(
    key: Key, store: Store, found: dict[str, Any], truth: dict[str, Any]
) -> Iterator[Difference]:
    for name, expected in truth.items():
        if found[name] != expected:
            yield Difference(key[0], store, key[1], name, found[name], expected)


def _values(progress: SubjectProgress) -> dict[str, Any]:
    """Return the fields of a snapshot; zeros at the end of a bitmap do not count."""
    hearts = bitmap.unpack_hearts(progress.hearts)
    return {
        "progress_bitmap": bitmap.encode(progress.bitmap.rstrip(b"\0")),
        "best_hearts": {str(bit): most for bit, most in hearts.items()},
        "total_xp_earned": max(0, progress.xp),
        "passed_lessons": progress.passed,
    }


def _record_values(progress: SubjectProgress) -> dict[str, Any]:
    """Return the fields of a record in Redis, which a snapshot does not all have."""
    return _values(progress) | {"last_played": progress.last_played}


def _stored_values(row: StructureProgress) -> dict[str, Any]:
    try:
        bits = bitmap.encode(bitmap.decode(row.progress_bitmap).rstrip(b"\0"))
    except ValueError:
        bits = row.progress_bitmap
    return {
        "progress_bitmap": bits,
        "best_hearts": row.best_hearts,
        "total_xp_earned": row.total_xp_earned,
        "passed_lessons": row.passed_lessons,
    }

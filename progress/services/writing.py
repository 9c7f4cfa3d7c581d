"""Beginning and finishing a write to the ledger; `players.records` has the rule.

A write starts from the state at one position, as Redis or the ledger has it, inserts its
rows at the positions after it, and stores the new state in Redis.
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import structlog

from players import records
from players.player_state import SubjectProgress, WalletState
from players.records import Found, StoreUnavailableError, Wanted
from progress.services import ledger

log = structlog.get_logger(__name__)

INSERT_WITHIN_SECONDS = 2.0
"""An insert starts within this time of its start, else the write begins again: with the
longest wait for the database (`core.db_limits`) it ends before `records.WRITE_MS`."""
_ATTEMPTS = 3
_NONE: Mapping[str, SubjectProgress] = {}


@dataclass(frozen=True, slots=True)
class Start:
    """The state that a write is decided on: the rows up to ``wallet.seq``.

    ``subjects`` has the subjects that the write may change, by id. ``inc`` is the
    wallet's record in Redis; b"" while Redis does not answer.
    """

    player_id: int
    wallet: WalletState
    subjects: Mapping[str, SubjectProgress]
    inc: bytes
    began_at: float = field(default_factory=time.monotonic)

    @property
    def next_seq(self) -> int:
        return self.wallet.seq + 1

    @property
    def is_too_old(self) -> bool:
        """Whether the write must begin again before it inserts."""
        return time.monotonic() - self.began_at > INSERT_WITHIN_SECONDS


def begin(
    player_id: int, subject_ids: Collection[str], found: Found | None = None
) -> Start:
    """Begin a write to these subjects.

    One round trip, or none where the session check has begun it. Where Redis lacks the
    wallet or a subject, or does not answer, the ledger is read.

    Args:
        found: what the request's session check read and began.
    """
    if (
        found is None
        or not found.wanted.begin
        or not set(subject_ids).issubset(found.wanted.subject_ids)
    ):
        wanted = Wanted(wallet=True, subject_ids=tuple(subject_ids), begin=True)
        try:
            found = records.look(player_id, wanted)
        except StoreUnavailableError:
            return from_ledger(player_id, subject_ids)
    if found.wallet is None:
        return from_ledger(player_id, subject_ids)
    missing = [one for one in subject_ids if one not in found.subjects]
    subjects = _load(found, found.wallet, missing) if missing else {}
    if subjects is None:
        return from_ledger(player_id, subject_ids)
    return Start(player_id, found.wallet, {**found.subjects, **subjects}, found.inc)


def _load(
    found: Found, wallet: WalletState, missing: Collection[str]
) -> dict[str, SubjectProgress] | None:
    """Read the subjects that Redis lacks; None: the wallet is not at the ledger's end."""
    player_id = found.player_id
    seq = ledger.head(player_id)
    if seq != wallet.seq:
        return None
    subjects = ledger.subjects_of_player(player_id, missing, seq)
    try:
        is_stored = records.load(player_id, inc=found.inc, seq=seq, subjects=subjects)
    except StoreUnavailableError:
        return None
    return subjects if is_stored else None


def from_ledger(player_id: int, subject_ids: Collection[str] = ()) -> Start:
    """Begin a write from what the ledger says, whatever Redis has. Two queries.

    Args:
        subject_ids: empty for a write that changes the wallet only: one query.
    """
    for _attempt in range(_ATTEMPTS):
        wallet = ledger.wallet_of(player_id)
        subjects = ledger.subjects_of_player(player_id, subject_ids, wallet.seq)
        try:
            inc = records.create(player_id, wallet=wallet, subjects=subjects)
        except StoreUnavailableError as error:
            log.warning("write_begun_without_redis", error=type(error).__name__)
            return Start(player_id, wallet, subjects, b"")
        if inc is not None:
            return Start(player_id, wallet, subjects, inc)
        # Redis is further: a row was committed after the ledger was read.
    # It still is: the database lost rows, such as by a restored backup.
    log.error("record_ahead_of_ledger", player=player_id, seq=wallet.seq)
    start = Start(player_id, wallet, subjects, b"")
    forget(start)
    return start


def finish(
    start: Start, wallet: WalletState, subjects: Mapping[str, SubjectProgress] = _NONE
) -> None:
    """Store the state after the commit; from here on the response is a success.

    When Redis does not answer, its record expires, and the next reader uses the ledger.

    Args:
        wallet: with the position of the last row of this write.
        subjects: those that the write changed.
    """
    if not start.inc:
        drop_older(start.player_id, wallet.seq)
        return
    try:
        records.put(
            start.player_id,
            inc=start.inc,
            first=start.next_seq,
            wallet=wallet,
            subjects=subjects,
        )
    except StoreUnavailableError as error:
        log.warning(
            "record_not_updated",
            player=start.player_id,
            error=type(error).__name__,
        )


def drop_older(player_id: int, seq: int) -> None:
    """Delete the record of a wallet if it lacks the row at ``seq``.

    When Redis does not answer, a record that a write has begun expires.
    """
    try:
        records.drop_older(player_id, seq)
    except StoreUnavailableError as error:
        log.warning("record_not_dropped", player=player_id, error=type(error).__name__)


def forget(start: Start) -> None:
    """Delete the records of a player who is deleted, or that are wrong.

    When Redis does not answer, they expire.
    """
    try:
        records.forget_player(start.player_id, start.subjects)
    except StoreUnavailableError as error:
        log.warning("records_not_forgotten", error=type(error).__name__)


def read_subject(
    player_id: int, subject_id: str, found: Found | None = None
) -> tuple[int, SubjectProgress]:
    """Return a player's progress in a subject; see `read_subjects`."""
    seq, subjects = read_subjects(player_id, [subject_id], found)
    return seq, subjects[subject_id]


def read_subjects(
    player_id: int, subject_ids: Collection[str], found: Found | None = None
) -> tuple[int, dict[str, SubjectProgress]]:
    """Return a player's progress in subjects, and the position it is complete up to.

    From Redis, else from the ledger, with two queries; then Redis gets it, too.

    Args:
        found: what the request's session check read; None: ask Redis now.
    """
    if found is None or not set(subject_ids).issubset(found.wanted.subject_ids):
        wanted = Wanted(wallet=True, subject_ids=tuple(subject_ids))
        try:
            found = records.look(player_id, wanted)
        except StoreUnavailableError:
            seq = ledger.head(player_id)
            return seq, ledger.subjects_of_player(player_id, subject_ids, seq)
    is_whole = all(one in found.subjects for one in subject_ids)
    if found.wallet is not None and is_whole:
        return found.wallet.seq, {one: found.subjects[one] for one in subject_ids}
    if found.wallet is None:
        wallet = ledger.wallet_of(player_id)
    else:
        wallet = WalletState(seq=ledger.head(player_id))
    subjects = ledger.subjects_of_player(player_id, subject_ids, wallet.seq)
    try:
        records.fill(found, wallet=wallet, subjects=subjects)
    except StoreUnavailableError as error:
        log.warning("record_not_kept", error=type(error).__name__)
    return wallet.seq, subjects

"""Reading progress from Redis; missing projections are rebuilt from the ledger."""

import structlog

from progress import store
from progress.bitmap import SubjectProgress
from progress.services import ledger
from progress.store import PendingWrite, State
from progress.streak import Streak

log = structlog.get_logger(__name__)


def subject(player_id: int, subject_id: str) -> SubjectProgress:
    """A player's progress in a subject.

    Raises:
        StoreUnavailableError: Redis does not answer.
    """
    held = store.read_subject(player_id, subject_id)
    if held is not None:
        return held
    claimed = store.claim(player_id, subject_id)
    found = ledger.subject_of(player_id, subject_id)
    store.store(claimed, wallet=None, subject=found)
    log.info("progress_rebuilt", player=player_id, subject=subject_id)
    return found


def state(begun: PendingWrite) -> State:
    """What a write starts from: what it found, or the ledger's word."""
    if begun.state is not None:
        return begun.state
    return _from_ledger(begun, keep=True)


def ledger_state(begun: PendingWrite) -> State:
    """The ledger's word, whatever Redis says."""
    return _from_ledger(begun, keep=False)


def _from_ledger(begun: PendingWrite, *, keep: bool) -> State:
    player_id, subject_id = begun.mark.player_id, begun.mark.subject_id
    wallet = ledger.wallet_of(player_id)
    found = ledger.subject_of(player_id, subject_id)
    if keep:
        store.store(begun.mark, wallet=wallet, subject=found)
        log.info("progress_rebuilt", player=player_id, subject=subject_id)
    return State(
        total_xp=wallet.total_xp,
        streak=Streak(wallet.current_streak, wallet.last_success_date),
        subject=found,
    )

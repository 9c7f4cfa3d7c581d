"""Reading the ledger, and adding rows; see docs/architecture.md, "Ledger".

Rows are only added (`progress.models.InteractionLog`). Their positions are 1, 2, 3 … for
each player: a row is inserted at the position after the state that it was decided on,
and the database refuses it if another row is there. A request whose row was refused locks
the player before it decides again (`lock`); changes by staff lock the player at once. So
no request is refused twice by others. Every read is one statement, or takes the last
position first and reads no later rows, so its result is the state at one position.

The rows of closed seasons are in a table of their own (`progress.services.seasons`). The
last row of a player never is. Sums of the archived rows are in baselines; what needs the
rows themselves reads both tables (`whole`).
"""

from progress.services.ledger.appending import (
    PlayerDeletedError,
    PositionTakenError,
    append,
    client_event,
    conflict,
    insert,
    insert_new,
    lock,
    server_event,
)
from progress.services.ledger.days import (
    archived_days,
    streak_histories,
    streak_history,
    wallet_of,
    wallets_of,
)
from progress.services.ledger.payments import (
    Paid,
    completed_of,
    first_completions,
    lesson_histories,
    paid_of,
)
from progress.services.ledger.positions import head, heads, heads_of, wallets_behind
from progress.services.ledger.rows import (
    completions_per_hour,
    event,
    last_rows,
    whole,
)
from progress.services.ledger.subjects import (
    ArchivedSubject,
    archived_subjects,
    best_hearts,
    hearts_now,
    subject_heads,
    subjects_after,
    subjects_at,
    subjects_of,
    subjects_of_player,
)

__all__ = [
    "ArchivedSubject",
    "Paid",
    "PlayerDeletedError",
    "PositionTakenError",
    "append",
    "archived_days",
    "archived_subjects",
    "best_hearts",
    "client_event",
    "completed_of",
    "completions_per_hour",
    "conflict",
    "event",
    "first_completions",
    "head",
    "heads",
    "heads_of",
    "hearts_now",
    "insert",
    "insert_new",
    "last_rows",
    "lesson_histories",
    "lock",
    "paid_of",
    "server_event",
    "streak_histories",
    "streak_history",
    "subject_heads",
    "subjects_after",
    "subjects_at",
    "subjects_of",
    "subjects_of_player",
    "wallet_of",
    "wallets_behind",
    "wallets_of",
    "whole",
]

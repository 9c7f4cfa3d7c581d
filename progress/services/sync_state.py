"""What an app keeps of a player's state, or what changed of it; see "Snapshot and delta".

A token says what the app has. Where nothing of that has moved, the answer is empty.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import orjson

from players.player_state import SubjectProgress
from players.records import Found
from players.services import access, entitlements, wallet
from players.services.entitlements import OwnedProduct
from players.services.wallet import CurrentWallet
from progress.services import (
    device_events,
    ledger,
    review_cards,
    review_items,
    review_queries,
    writing,
)
from progress.services.review_queries import ChangedCard
from publishing import api
from publishing.api import PlanStructure

_FORMAT = 2
"""The version of tokens and answers. Raise it when an app must read everything again."""


@dataclass(frozen=True, slots=True)
class SyncState:
    """A player's state: everything (``is_complete``), or what changed since a token.

    ``subjects`` has the plan's subjects with progress by id, ``cards`` the active cards;
    of a delta those that changed, also cards that are no longer active.
    """

    token: str
    is_complete: bool
    wallet: CurrentWallet
    subjects: Mapping[str, SubjectProgress]
    cards: Sequence[ChangedCard]
    products: Sequence[OwnedProduct]
    plan: PlanStructure
    next_seq: int


class _Stand(NamedTuple):
    """What a token contains.

    ``access`` and ``release`` are digests: of the plans and products that count now,
    of the release with its items, and of the wallet as it is shown now.
    """

    version: int
    player_id: int
    seq: int
    rating: int
    access: str
    release: str
    next_seq: int
    wallet: str


def of_player(
    *,
    player_id: int,
    device_id: UUID,
    since: str | None,
    now: datetime,
    found: Found | None = None,
) -> SyncState | None:
    """Return what the app lacks of the player's state.

    One query if nothing changed, and no round trip to Redis beside the session check.
    Else four, one more round trip, and what following the ledger with the cards costs.

    Args:
        since: the token of the last answer. With one of another player or format, one
            that cannot be read, or None, the answer is complete.
        found: what the request's session check read; None: ask Redis now.

    Returns:
        None: nothing changed.

    Raises:
        NotEnrolledError, NotPublishedError: the player has no plan with a release.
        SessionUnknownError: the player has been deleted.
    """
    player_access = access.of_player(player_id, found)
    plan = api.load_plan(access.require_enrolled(player_access))
    moment = now.timestamp()
    items = review_items.of_player(plan, player_access, moment)
    held = wallet.get(player_id, found)
    shown = wallet.at(held, player_access.days, now)
    rating, last_seq = device_events.positions(player_id, device_id)
    products = entitlements.of_access(player_access, moment)
    stand = _Stand(
        version=_FORMAT,
        player_id=player_id,
        seq=held.seq,
        rating=rating,
        access=_digest(
            [
                plan.plan_id,
                [(one.code, one.valid_until, one.is_valid) for one in products],
            ]
        ),
        release=_digest([plan.manifest_hash, items.version]),
        next_seq=last_seq + 1,
        wallet=_digest(shown),
    )
    before = _read(since)
    if before == stand:
        return None
    if before is not None and not _continues(before, stand):
        before = None
    subject_ids: Sequence[str] = list(plan.subjects)
    if before is not None:
        changed = ledger.subjects_after(player_id, before.seq)
        subject_ids = [one for one in subject_ids if one in changed]
    subjects: Mapping[str, SubjectProgress] = {}
    if subject_ids:
        # At this position or a later one; then the next delta has them again.
        _seq, subjects = writing.read_subjects(player_id, subject_ids)
    mark = review_queries.watermark(player_id)
    if not mark.is_at(items.version):
        review_cards.follow(player_id, items, mark)
    return SyncState(
        token=_write(stand),
        is_complete=before is None,
        wallet=shown,
        subjects={
            subject_id: subject
            for subject_id, subject in subjects.items()
            if before is not None or subject != SubjectProgress()
        },
        cards=_cards(player_id, before, stand),
        products=products,
        plan=plan,
        next_seq=stand.next_seq,
    )


def _cards(player_id: int, before: _Stand | None, stand: _Stand) -> list[ChangedCard]:
    if before is None:
        return review_queries.active_cards(player_id)
    if (before.access, before.release) != (stand.access, stand.release):
        return review_queries.all_cards(player_id)
    return review_queries.cards_after(player_id, seq=before.seq, rating=before.rating)


def _continues(before: _Stand, stand: _Stand) -> bool:
    """Return whether the state can have grown from what the token says."""
    return (
        (before.version, before.player_id) == (stand.version, stand.player_id)
        and before.seq <= stand.seq
        and before.rating <= stand.rating
    )


def _digest(about: object) -> str:
    return hashlib.blake2b(orjson.dumps(about), digest_size=8).hexdigest()


def _write(stand: _Stand) -> str:
    return urlsafe_b64encode(orjson.dumps(list(stand))).decode().rstrip("=")


def _read(token: str | None) -> _Stand | None:
    """Return what a token says; None if it is none of ours."""
    if token is None:
        return None
    try:
        stand = _Stand(
            *orjson.loads(urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        )
    except (ValueError, TypeError):
        return None
    is_ours = all(
        type(value) is kind
        for value, kind in zip(stand, _Stand.__annotations__.values(), strict=True)
    )
    return stand if is_ours else None

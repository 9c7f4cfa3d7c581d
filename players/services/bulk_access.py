"""Plans, products and sessions of many players at once.

Each function runs in one transaction. It takes a fixed number of queries for each 500
players, locks the players in the order of their numbers, and adds an audit row for each
row that it changes. Numbers of unknown and of erased players are skipped. A second call
with the same arguments changes nothing.

Redis must answer where something may be taken away: otherwise `StoreAwayError` is
raised, and nothing has changed.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from content import products
from core.batches import batches
from players import audit
from players.models import (
    EndedSession,
    Enrollment,
    Entitlement,
    PlayerProfile,
    SecurityEventType,
    Session,
    SessionEndReason,
    User,
)
from players.services import sign_in_state


def _lock(player_ids: Iterable[int]) -> dict[int, int | None]:
    """Lock these players; return the primary key of each one's active plan."""
    found = PlayerProfile.objects.filter(pk__in=set(player_ids), erased_at=None)
    locked = found.order_by("pk").select_for_update()
    return dict(locked.values_list("pk", "active_plan_id"))


# --- Plans --------------------------------------------------------------------


@transaction.atomic
def enroll(wanted: Iterable[tuple[int, int]]) -> int:
    """Enrol players in plans.

    A player without an active plan gets the first of their new plans as the active one.

    Args:
        wanted: pairs of a player's and a plan's primary key.

    Returns:
        The number of new enrolments.
    """
    plans_of = _by_player(wanted)
    return sum(
        _enroll(_lock(some), plans_of) for some in batches(sorted(plans_of.keys()))
    )


def _by_player(pairs: Iterable[tuple[int, int]]) -> dict[int, list[int]]:
    plans_of: dict[int, list[int]] = defaultdict(list)
    for player_id, plan_id in dict.fromkeys(pairs):
        plans_of[player_id].append(plan_id)
    return plans_of


def _enroll(active: dict[int, int | None], plans_of: dict[int, list[int]]) -> int:
    """Enrol players whose locks the caller holds."""
    rows = Enrollment.objects.filter(player_id__in=active)
    held = set(rows.values_list("player_id", "plan_id"))
    new = [
        Enrollment(player_id=player_id, plan_id=plan_id)
        for player_id in active
        for plan_id in plans_of[player_id]
        if (player_id, plan_id) not in held
    ]
    if new:
        Enrollment.objects.bulk_create(new)
    without: dict[int, list[int]] = defaultdict(list)
    for player_id, plan_id in active.items():
        if plan_id is None and plans_of[player_id]:
            without[plans_of[player_id][0]].append(player_id)
    for plan_id, player_ids in without.items():
        PlayerProfile.objects.filter(pk__in=player_ids).update(active_plan=plan_id)
    return len(new)


@transaction.atomic
def unenroll(unwanted: Iterable[tuple[int, int]]) -> int:
    """Take players out of plans.

    Where the active plan is among them, the newest of the player's other plans becomes
    active, if there is one.

    Args:
        unwanted: pairs of a player's and a plan's primary key.

    Returns:
        The number of enrolments that were removed.

    Raises:
        StoreAwayError: Redis does not answer.
    """
    plans_of = _by_player(unwanted)
    return sum(
        _unenroll(_lock(some), plans_of) for some in batches(sorted(plans_of.keys()))
    )


def _unenroll(active: dict[int, int | None], plans_of: dict[int, list[int]]) -> int:
    rows = Enrollment.objects.filter(player_id__in=active).order_by("pk")
    leaving: list[int] = []
    remaining: dict[int, int] = {}
    for pk, player_id, plan_id in rows.values_list("pk", "player_id", "plan_id"):
        if plan_id in plans_of[player_id]:
            leaving.append(pk)
        else:
            remaining[player_id] = plan_id
    switching: dict[tuple[int | None, int], list[int]] = defaultdict(list)
    for player_id, plan in active.items():
        if plan is not None and plan in plans_of[player_id]:
            switching[remaining.get(player_id), plan].append(player_id)
    for (plan_id, previous), player_ids in switching.items():
        _activate(player_ids, plan_id, previous)
    return Enrollment.objects.filter(pk__in=leaving).remove() if leaving else 0


@transaction.atomic
def move(
    player_ids: Collection[int], *, plan_id: int, from_plan_id: int | None = None
) -> int:
    """Enrol players in a plan, and take them out of another one.

    The new plan becomes active where the old one was, or none.

    Args:
        from_plan_id: None leaves all other enrolments as they are.

    Returns:
        The number of players for whom something has changed.

    Raises:
        StoreAwayError: Redis does not answer.
    """
    return sum(
        len(_move(_lock(some), plan_id, from_plan_id))
        for some in batches(sorted(set(player_ids)))
    )


def _move(
    active: dict[int, int | None], plan_id: int, from_plan_id: int | None
) -> set[int]:
    rows = Enrollment.objects.filter(player_id__in=active)
    enrolled = set(rows.filter(plan_id=plan_id).values_list("player_id", flat=True))
    moved = active.keys() - enrolled
    _enroll(active, {pk: [plan_id] for pk in active})
    if from_plan_id is None or from_plan_id == plan_id:
        return moved
    old = rows.filter(plan_id=from_plan_id)
    leaving = set(old.values_list("player_id", flat=True))
    switching = [pk for pk, current in active.items() if current == from_plan_id]
    if switching:
        _activate(switching, plan_id, from_plan_id)
    if leaving:
        old.remove()
    return moved | leaving | set(switching)


def _activate(player_ids: list[int], plan_id: int | None, previous: int) -> None:
    players = PlayerProfile.objects.filter(pk__in=player_ids)
    players.update(active_plan=plan_id)
    details = {"plan": plan_id, "previous": previous}
    users = players.values_list("user_id", flat=True)
    audit.record_each(
        SecurityEventType.PLAN_ACTIVATED, [(user_id, details) for user_id in users]
    )


# --- Products -----------------------------------------------------------------


@transaction.atomic
def grant(wanted: Iterable[tuple[int, str, datetime | None]]) -> int:
    """Give players products until a time.

    An entitlement that a player has is extended if it ends earlier, never shortened. A
    product is created for a code that has none.

    Args:
        wanted: a player's primary key, a product code, and the end; None for no end.

    Returns:
        The number of entitlements that are new or extended.
    """
    ends: dict[int, dict[str, datetime | None]] = defaultdict(dict)
    for player_id, item, until in wanted:
        known = ends[player_id]
        if item not in known or is_later(until, known[item]):
            known[item] = until
    products.ensure({item for known in ends.values() for item in known})
    return sum(_grant(some, ends) for some in batches(sorted(ends.keys())))


def is_later(one: datetime | None, other: datetime | None) -> bool:
    """Return whether one end is after another; None is no end."""
    return other is not None and (one is None or one > other)


def _grant(some: Collection[int], ends: dict[int, dict[str, datetime | None]]) -> int:
    players = _lock(some)
    held = {
        (row.player_id, row.item): row
        for row in Entitlement.objects.filter(player_id__in=players)
    }
    new = []
    extended: dict[datetime | None, list[int]] = defaultdict(list)
    for player_id in players:
        for item, until in ends[player_id].items():
            row = held.get((player_id, item))
            if row is None:
                new.append(
                    Entitlement(player_id=player_id, item=item, valid_until=until)
                )
            elif is_later(until, row.valid_until):
                extended[until].append(row.pk)
    if new:
        Entitlement.objects.bulk_create(new)
    for until, keys in extended.items():
        Entitlement.objects.filter(pk__in=keys).update(valid_until=until)
    return len(new) + sum(len(keys) for keys in extended.values())


@transaction.atomic
def revoke(unwanted: Iterable[tuple[int, str]]) -> int:
    """Take products from players.

    Args:
        unwanted: pairs of a player's primary key and a product code.

    Returns:
        The number of entitlements that were removed.

    Raises:
        StoreAwayError: Redis does not answer.
    """
    items_of: dict[int, set[str]] = defaultdict(set)
    for player_id, item in unwanted:
        items_of[player_id].add(item)
    return sum(_revoke(some, items_of) for some in batches(sorted(items_of.keys())))


def _revoke(some: Collection[int], items_of: dict[int, set[str]]) -> int:
    players = _lock(some)
    rows = Entitlement.objects.filter(player_id__in=players)
    keys = [
        pk
        for pk, player_id, item in rows.values_list("pk", "player_id", "item")
        if item in items_of[player_id]
    ]
    return Entitlement.objects.filter(pk__in=keys).remove() if keys else 0


# --- Sessions -----------------------------------------------------------------


@transaction.atomic
def end_sessions(
    player_ids: Collection[int],
    reason: SessionEndReason = SessionEndReason.ENDED_BY_STAFF,
) -> int:
    """End the sessions of players; effective after the commit.

    Args:
        reason: determines the error of later requests with the tokens.

    Returns:
        The number of sessions that were ended.

    Raises:
        StoreAwayError: Redis does not answer.
    """
    return sum(_end_sessions(some, reason) for some in batches(sorted(set(player_ids))))


def _end_sessions(some: Collection[int], reason: SessionEndReason) -> int:
    # Accounts are locked before players, as by all writers of sessions.
    users = User.objects.filter(player__in=some).order_by("pk").select_for_update()
    list(users.values_list("pk"))
    sessions = list(
        Session.objects.filter(player_id__in=some).select_related("device", "player")
    )
    if not sessions:
        return 0
    ended = [session.player_id for session in sessions]
    # Not through the manager and signals, which query for each row.
    rows: QuerySet[Session] = QuerySet(Session).filter(player_id__in=ended)
    rows._raw_delete(rows.db)
    EndedSession.objects.bulk_create(
        [
            EndedSession(
                token_sha256=session.token_sha256,
                player_id=session.player_id,
                reason=reason,
            )
            for session in sessions
        ]
    )
    audit.record_each(
        SecurityEventType.SESSION_ENDED,
        [(session.player.user_id, {"reason": reason}) for session in sessions],
        device_ids=[session.device.device_id for session in sessions],
    )
    sign_in_state.changing(ended)
    return len(ended)

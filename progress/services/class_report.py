"""The students of a group: where each is, and who has not been seen for a week.

Read from the snapshots, which are seconds to minutes old, in a fixed number of queries.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from content.models import Node
from players.models import (
    Enrollment,
    Entitlement,
    GroupMember,
    PlayerProfile,
    StudyGroup,
)
from players.player_state import WalletState
from progress import bitmap
from progress.models import StructureProgress
from progress.services import subject_cache, wallets
from publishing import api
from publishing.api import NotPublishedError, PlanStructure

PAGE = 100
"""How many students a page shows."""
ABSENT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class SubjectNow:
    """Where a student is in a subject; ``next_lesson`` is "" if nothing is left to do."""

    title: str
    passed: int
    total: int
    next_lesson: str


@dataclass(frozen=True, slots=True)
class Student:
    """A member; ``last_seen`` is the last use of the app, None for never.

    ``subjects`` are those of the student's active plan, if it has a release.
    """

    pk: int
    name: str
    school_number: str
    plan: str
    last_seen: datetime | None
    is_absent: bool
    streak: int
    xp: int
    subjects: list[SubjectNow]


@dataclass(frozen=True, slots=True)
class ClassReport:
    """One page of a group's students, by name; ``listed`` is how many all pages have."""

    students: list[Student]
    listed: int
    members: int
    absent: int


def load(
    group: StudyGroup, *, now: datetime, only_absent: bool = False, page: int | None = 0
) -> ClassReport:
    """Return a page of the report. Six queries.

    Args:
        only_absent: list only students who were not seen for `ABSENT`.
        page: which `PAGE` students; None: all.
    """
    seen = _last_seen(group)
    absent = {pk for pk, at in seen.items() if _is_absent(at, now)}
    listed = [pk for pk in seen if not only_absent or pk in absent]
    shown = listed if page is None else listed[page * PAGE : (page + 1) * PAGE]
    return ClassReport(
        students=_students(shown, seen, now),
        listed=len(listed),
        members=len(seen),
        absent=len(absent),
    )


def _is_absent(last_seen: datetime | None, now: datetime) -> bool:
    return last_seen is None or now - last_seen > ABSENT


def _last_seen(group: StudyGroup) -> dict[int, datetime | None]:
    """Return when each member used the app last, in the order of names. One query."""
    members = GroupMember.objects.filter(group=group, player__erased_at=None).order_by(
        "player__user__full_name_folded", "player_id"
    )
    times = ("player__session__last_used_at", "player__wallet__last_played_at")
    return {
        pk: max((at for at in found if at is not None), default=None)
        for pk, *found in members.values_list("player_id", *times)
    }


def _students(
    shown: Collection[int], seen: Mapping[int, datetime | None], now: datetime
) -> list[Student]:
    # With 0, which no row has, so that the number of queries is always the same.
    keys = [0, *shown]
    players = {
        player.pk: player
        for player in PlayerProfile.objects.filter(pk__in=keys).select_related(
            "user", "wallet", "active_plan"
        )
    }
    enrolled = set(
        Enrollment.objects.filter(player_id__in=keys).values_list(
            "player_id", "plan_id"
        )
    )
    items = _items(keys, now)
    done = {
        (player_id, subject_id): encoded
        for player_id, subject_id, encoded in StructureProgress.objects.filter(
            player_id__in=keys
        ).values_list("player_id", "subject_id", "progress_bitmap")
    }
    plans = _plans(
        players[pk].active_plan.public_id
        for pk in shown
        if pk in players and (pk, players[pk].active_plan_id) in enrolled
    )
    places = {
        pk: _places(
            plans.get(player.active_plan.public_id), pk, done, items.get(pk, ())
        )
        for pk, player in players.items()
        if player.active_plan is not None and (pk, player.active_plan_id) in enrolled
    }
    titles = _titles(places.values())
    return [
        _student(players[pk], places.get(pk, []), titles, seen[pk], now)
        for pk in shown
        if pk in players
    ]


_Place = tuple[str, int, int, str | None]
"""A subject's id, lessons passed and in all, and the next lesson's id."""


def _places(
    plan: PlanStructure | None,
    player_id: int,
    done: Mapping[tuple[int, str], str],
    items: Collection[str],
) -> list[_Place]:
    found: list[_Place] = []
    for subject_id, subject in plan.subjects.items() if plan is not None else ():
        outline = subject_cache.of_subject(subject)
        bits = bitmap.decode(done.get((player_id, subject_id), ""))
        player = outline.for_player(bits, items)
        found.append(
            (
                subject_id,
                player.passed_lessons,
                outline.total_lessons,
                player.next_lesson(),
            )
        )
    return found


def _items(players: Collection[int], now: datetime) -> dict[int, set[str]]:
    """Return the products that each player has now. One query."""
    found: dict[int, set[str]] = {}
    rows = Entitlement.objects.filter(player_id__in=players)
    for player_id, item, until in rows.values_list("player_id", "item", "valid_until"):
        if until is None or until > now:
            found.setdefault(player_id, set()).add(item)
    return found


def _plans(plan_ids: Iterable[str]) -> dict[str, PlanStructure]:
    found = {}
    for plan_id in dict.fromkeys(plan_ids):
        try:
            found[plan_id] = api.load_plan(plan_id)
        except NotPublishedError:
            continue
    return found


def _titles(places: Iterable[list[_Place]]) -> dict[str, str]:
    named = {
        node_id
        for place in places
        for subject_id, _passed, _total, lesson_id in place
        for node_id in (subject_id, lesson_id)
        if node_id
    }
    rows = Node.objects.filter(public_id__in=["", *named])
    return dict(rows.values_list("public_id", "title"))


def _student(
    player: PlayerProfile,
    places: Iterable[_Place],
    titles: Mapping[str, str],
    last_seen: datetime | None,
    now: datetime,
) -> Student:
    wallet = player.wallet
    state = WalletState(
        seq=wallet.seq,
        total_xp=wallet.total_xp,
        current_streak=wallet.current_streak,
        last_success_date=wallet.last_success_date,
        last_played_at=wallet.last_played_at,
        freezes=wallet.freezes,
    )
    return Student(
        pk=player.pk,
        name=player.user.get_full_name(),
        school_number=player.school_number or "",
        plan=player.active_plan.title if player.active_plan is not None else "",
        last_seen=last_seen,
        is_absent=_is_absent(last_seen, now),
        streak=wallets.streak_at(state, player.local_days, now).days,
        xp=wallet.total_xp,
        subjects=[
            SubjectNow(
                titles.get(subject_id, subject_id),
                passed,
                total,
                titles.get(lesson_id, lesson_id) if lesson_id else "",
            )
            for subject_id, passed, total, lesson_id in places
        ],
    )

"""What support sees of a student: what they did in pages, progress and reviews.

Progress is read from the ledger, so it is right whatever Redis has, and with the dates.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from django.db.models import Count, Max, Min, Q, Sum

from content.models import Node
from plans.models import OverrideAction, PlanOverride
from players.models import SecurityEvent, User
from players.services import access
from players.services.access import PlayerAccess
from progress import bitmap
from progress.api_types import SubjectReviews
from progress.models import PROGRESS_TYPES, InteractionLog, InteractionType
from progress.services import ledger, review_queries, subject_cache, timeline
from progress.services.timeline import Cursor, Entry
from progress.unlock import LockedReason, OutlineNode, PlayerOutline, Status
from publishing import api
from publishing.api import NotPublishedError, PlanStructure


@dataclass(frozen=True, slots=True)
class LessonFacts:
    """What the ledger says about a lesson in one subject.

    ``best_hearts`` is None while the lesson is not passed, or not passed again since it
    was reset. ``times`` counts its completions ever, ``failures`` its attempts without
    hearts. ``granted_at`` and ``reset_at`` are the last ones.
    """

    best_hearts: int | None
    times: int
    failures: int
    first_at: datetime | None
    last_at: datetime | None
    granted_at: datetime | None
    reset_at: datetime | None

    @property
    def is_passed(self) -> bool:
        return self.best_hearts is not None

    @property
    def counts_as_granted(self) -> bool:
        """Whether it is passed, and was granted since the last reset."""
        if self.granted_at is None or not self.is_passed:
            return False
        return self.reset_at is None or self.granted_at >= self.reset_at


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """A row of the ledger; ``title`` is the lesson's.

    ``reason`` and ``actor`` are those of a row that staff wrote, else "".
    """

    is_visit: ClassVar[bool] = False

    row: InteractionLog
    title: str
    reason: str
    actor: str

    @property
    def signed_xp(self) -> str:
        """The XP with its sign, isolated from the direction of the text around it."""
        return f"\u2066{self.row.xp:+d}\u2069"


@dataclass(frozen=True, slots=True)
class VisitLine:
    """A sign-in or sign-out."""

    is_visit: ClassVar[bool] = True

    event: SecurityEvent


@dataclass(frozen=True, slots=True)
class TimelinePage:
    """A page of what the player did, newest first; ``older`` begins the next one."""

    lines: list[LedgerLine | VisitLine]
    older: Cursor | None


@dataclass(frozen=True, slots=True)
class SubjectSummary:
    """A subject of the plan's release, or one that the student has XP in.

    ``total`` is None for a subject that is not in the release.
    """

    id: str
    title: str
    passed: int
    total: int | None
    xp: int
    last_at: datetime | None
    reviews: SubjectReviews | None


@dataclass(frozen=True, slots=True)
class TreeStep:
    """A step through a subject's tree: a container opens, a lesson, a container ends.

    ``passed`` and ``total`` count a container's lessons, or the lesson itself;
    ``is_next`` is true for the lesson that the app suggests and for the containers
    around it. ``facts`` is None for a container and for a lesson without rows.
    """

    step: Literal["open", "lesson", "close"]
    id: str = ""
    title: str = ""
    status: Status = Status.LOCKED
    locked_reason: LockedReason | None = None
    passed: int = 0
    total: int = 0
    is_next: bool = False
    facts: LessonFacts | None = None

    @property
    def has_open(self) -> bool:
        """Whether lessons here are not passed, and the student has their product."""
        is_sold = self.locked_reason is LockedReason.NOT_ENTITLED
        return self.passed < self.total and not is_sold


@dataclass(frozen=True, slots=True)
class PlayerReport:
    """``subject`` is the id of the subject whose ``tree`` is shown, or ""."""

    timeline: TimelinePage
    subjects: list[SubjectSummary]
    subject: str
    tree: list[TreeStep]
    is_published: bool


def load(
    player_id: int,
    *,
    subject_id: str,
    now: datetime,
    user_id: int | None = None,
    before: Cursor = timeline.NEWEST,
) -> PlayerReport:
    """Read the report. Eight queries, and three more where Redis lacks the access.

    Args:
        user_id: the player's account, to show sign-ins and sign-outs: one more query.
        before: where the page of the timeline begins.
        subject_id: whose tree to show; an unknown one, or "": the one that the student
            completed a lesson of last.
    """
    player_access = access.of_player(player_id)
    plan = _plan_of(player_access)
    lessons, xp = _facts(player_id)
    _mark, counts = review_queries.count_by_subject(player_id, player_access.days, now)
    entries, older = timeline.page(player_id=player_id, user_id=user_id, before=before)
    rows = [entry for entry in entries if isinstance(entry, InteractionLog)]
    in_plan = list(plan.subjects) if plan is not None else []
    others = sorted(set(lessons) - {*in_plan, ""})
    shown = _shown(subject_id, in_plan, lessons)
    titles = _titles([*in_plan, *others], rows, shown, player_access.active_plan_id)
    reviews = {row.subject_id: row for row in counts}
    return PlayerReport(
        timeline=TimelinePage(_lines(entries, titles), older),
        subjects=[
            SubjectSummary(
                id=found,
                title=titles.get(found, found),
                passed=_passed(plan, found, lessons.get(found, {})),
                total=len(plan.subjects[found].lessons)
                if plan is not None and found in plan.subjects
                else None,
                xp=xp.get(found, 0),
                last_at=_last(lessons.get(found, {})),
                reviews=reviews.get(found),
            )
            for found in [*in_plan, *others]
        ],
        subject=shown,
        tree=_tree(
            plan,
            shown,
            lessons.get(shown, {}),
            player_access,
            titles,
            now,
        ),
        is_published=plan is not None,
    )


Lessons = Mapping[tuple[str, int], LessonFacts]
"""The lessons with rows of one subject, by id and progress bit."""


def _plan_of(player_access: PlayerAccess) -> PlanStructure | None:
    plan_id = player_access.active_plan_id
    if plan_id not in player_access.enrolled_plan_ids:
        return None
    try:
        return api.load_plan(plan_id)
    except NotPublishedError:
        return None


_LESSON_TYPES = (*PROGRESS_TYPES, InteractionType.LESSON_FAILED)


def _facts(player_id: int) -> tuple[dict[str, Lessons], dict[str, int]]:
    """Return the lessons with rows, and the XP, of each subject. One query."""
    completed = Q(type=InteractionType.LESSON_COMPLETED)
    rows = ledger.whole(
        lambda rows: (
            rows.filter(player_id=player_id, type__in=_LESSON_TYPES)
            .values_list("subject_id", "reference_id", "bit_index")
            .annotate(
                earned=Sum("xp"),
                **ledger.best_hearts(),
                times=Count("pk", filter=completed),
                failures=Count("pk", filter=Q(type=InteractionType.LESSON_FAILED)),
                first_at=Min("occurred_at", filter=completed),
                last_at=Max("occurred_at", filter=completed),
                granted_at=_last_time(InteractionType.LESSON_GRANTED),
                reset_at=_last_time(
                    InteractionType.LESSON_RESET, InteractionType.SUBJECT_RESET
                ),
            )
        )
    )
    merged: dict[tuple[Any, ...], list[Any]] = {}
    for subject, lesson, bit, *own in rows:
        key = subject, lesson, bit
        merged[key] = _plus(merged[key], own) if key in merged else own
    lessons: dict[str, dict[tuple[str, int], LessonFacts]] = {}
    xp: dict[str, int] = {}
    # Rows without a bit reset all lessons of a subject; they name the subject itself.
    resets = {key[0]: row for key, row in merged.items() if key[2] is None}
    for (subject, lesson, bit), values in merged.items():
        xp[subject] = xp.get(subject, 0) + values[0]
        if bit is None:
            continue
        if subject in resets:
            values = _after_reset(values, resets[subject])
        _earned, most, last_pass, last_reset, *facts = values
        hearts = ledger.hearts_now(most, last_pass, last_reset)
        lessons.setdefault(subject, {})[lesson, bit] = LessonFacts(hearts, *facts)
    return dict(lessons), xp


_TOGETHER: tuple[Callable[[Any], Any], ...] = (
    sum,
    max,
    max,
    max,
    sum,
    sum,
    min,
    max,
    max,
    max,
)
"""How the values of a lesson's archived rows and of the others are put together."""


def _plus(values: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    return [
        one if other is None else other if one is None else together((one, other))
        for together, one, other in zip(_TOGETHER, values, others, strict=True)
    ]


def _after_reset(values: Sequence[Any], reset: Sequence[Any]) -> list[Any]:
    """Return a lesson's values with the reset of its subject, as if it were its own."""
    nothing = [None] * len(values)
    for place in (_LAST_RESET, _RESET_AT):
        nothing[place] = reset[place]
    return _plus(values, nothing)


_LAST_RESET, _RESET_AT = 3, -1
"""The places of these values of a lesson."""


def _last_time(*kinds: InteractionType) -> Max:
    return Max("occurred_at", filter=Q(type__in=kinds))


def titles_in(player_id: int, subject_id: str) -> dict[str, str]:
    """Return the titles in a subject, as the student sees them. Three queries.

    And what the access costs; see `access.of_player`.
    """
    return _titles([], [], subject_id, access.of_player(player_id).active_plan_id)


def _shown(
    wanted: str, in_plan: Collection[str], lessons: Mapping[str, Lessons]
) -> str:
    if wanted in in_plan:
        return wanted
    played = {
        subject: last
        for subject in in_plan
        if (last := _last(lessons.get(subject, {}))) is not None
    }
    return max(played, key=played.__getitem__, default=next(iter(in_plan), ""))


def _titles(
    subjects: Iterable[str], rows: Iterable[InteractionLog], shown: str, plan_id: str
) -> dict[str, str]:
    """Return the titles of subjects, of the ledger's lessons and of the shown tree.

    As the plan's students see them. Three queries.
    """
    named = {*subjects, *(row.reference_id for row in rows)}
    titles: dict[str, str] = dict(
        Node.objects.filter(public_id__in=named).values_list("public_id", "title")
    )
    tree = Node.objects.filter(public_id=shown).values("tree_id")[:1]
    of_tree = Node.objects.filter(tree_id=tree) if shown else Node.objects.none()
    titles |= dict(of_tree.values_list("public_id", "title"))
    renamed = PlanOverride.objects.filter(
        plan__public_id=plan_id, action=OverrideAction.RENAME
    )
    titles |= dict(renamed.values_list("target__public_id", "value"))
    return titles


def _lines(
    entries: Iterable[Entry], titles: Mapping[str, str]
) -> list[LedgerLine | VisitLine]:
    """Return the entries in words. One query."""
    data: dict[int, dict[str, Any]] = {
        row.seq: row.data
        for row in entries
        if isinstance(row, InteractionLog)
        and isinstance(row.data, dict)
        and "actor_id" in row.data
    }
    actors = {found.get("actor_id") for found in data.values()} - {None}
    names = User.objects.in_bulk({0, *actors})
    return [
        VisitLine(row)
        if isinstance(row, SecurityEvent)
        else LedgerLine(
            row,
            title=titles.get(row.reference_id, row.reference_id),
            reason=str(data.get(row.seq, {}).get("reason") or ""),
            actor=str(names.get(data.get(row.seq, {}).get("actor_id"), "")),
        )
        for row in entries
    ]


def _passed(plan: PlanStructure | None, subject: str, lessons: Lessons) -> int:
    """Return how many lessons are passed: of the release's, if the subject is in it."""
    bits = {bit for (_lesson, bit), facts in lessons.items() if facts.is_passed}
    if plan is None or subject not in plan.subjects:
        return len(bits)
    return sum(lesson.bit_index in bits for lesson in plan.subjects[subject].lessons)


def _last(lessons: Lessons) -> datetime | None:
    return max(
        (facts.last_at for facts in lessons.values() if facts.last_at), default=None
    )


def _tree(
    plan: PlanStructure | None,
    shown: str,
    lessons: Lessons,
    player_access: PlayerAccess,
    titles: Mapping[str, str],
    now: datetime,
) -> list[TreeStep]:
    if plan is None or not shown:
        return []
    outline = subject_cache.of_subject(plan.subjects[shown])
    best = {
        bit: facts.best_hearts
        for (_lesson, bit), facts in lessons.items()
        if facts.best_hearts is not None and bit >= 0
    }
    items = player_access.current_items(now.timestamp())
    player = outline.for_player(bitmap.pack(best).bitmap, items)
    by_bit = {bit: facts for (_lesson, bit), facts in lessons.items()}
    next_id = player.next_lesson()
    next_at = -1 if next_id is None else outline.lessons[next_id].start
    steps = _steps(outline.root, player, titles, by_bit, next_at)
    return list(steps)[1:-1]  # without the subject itself


def _steps(
    node: OutlineNode,
    player: PlayerOutline,
    titles: Mapping[str, str],
    by_bit: Mapping[int, LessonFacts],
    next_at: int,
) -> Iterator[TreeStep]:
    state = player.state(node)
    is_lesson = node.bit_index is not None
    yield TreeStep(
        step="lesson" if is_lesson else "open",
        id=node.id,
        title=titles.get(node.id, node.id),
        status=state.status,
        locked_reason=state.locked_reason,
        passed=player.count(player.passed, node),
        total=node.end - node.start,
        is_next=node.start <= next_at < node.end,
        facts=by_bit.get(node.bit_index) if node.bit_index is not None else None,
    )
    if not is_lesson:
        for child in node.children:
            yield from _steps(child, player, titles, by_bit, next_at)
        yield TreeStep(step="close")

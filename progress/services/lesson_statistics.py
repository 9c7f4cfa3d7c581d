"""The statistics of lessons, read for one page; see docs/architecture.md.

The number of queries is fixed. They read the sums of the page's lessons, or for a class
the rows of its members, by an index; never the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, IntegerField, Q, QuerySet, Sum, Value
from django.utils.translation import gettext as _

from content import tree_rows
from content.kinds import Kind
from content.models import LessonStage, Node
from content.stage_configs import item_texts
from core.errors import MemoraError
from players import write_back
from players.models import Enrollment, GroupMember
from progress.lesson_counts import LessonCounts
from progress.models import (
    LessonStatistics,
    PlayerLesson,
    PlayerQuestion,
    QuestionStatistics,
)
from progress.services import lesson_counting

PAGE = 100
"""How many lessons a page shows."""
MOST_ROWS = 200_000
"""The most rows that are added up for a class: its members times the lessons."""
MOST_QUESTIONS = 10


class TooManyRowsError(MemoraError):
    """The class has too many members for so many lessons."""

    code = "TOO_MANY_ROWS"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which students are counted, by primary keys; None: all.

    With both, what the members of the group did in lessons that count for the plan.
    """

    plan: int | None = None
    group: int | None = None


@dataclass(frozen=True, slots=True)
class LessonRow:
    """A lesson with its figures; ``topic`` and ``unit`` are titles.

    ``stopped`` is how many more students have started it than the lesson after it; None
    for the last one.
    """

    pk: int
    public_id: str
    title: str
    topic: str
    unit: str
    counts: LessonCounts
    stopped: int | None

    @property
    def stopped_percent(self) -> int | None:
        if self.stopped is None or not self.counts.started:
            return None
        return 100 * self.stopped // self.counts.started


@dataclass(frozen=True, slots=True)
class HardQuestion:
    """An item that failed in reviews; ``text`` is "" if the lesson lacks it now.

    ``leeches`` counts the players who fail it again and again, of a class; None for the
    sums of all students, which do not have it.
    """

    item_id: str
    text: str
    lesson_pk: int | None
    lesson_title: str
    failures: int
    players: int
    leeches: int | None


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """The figures of the lessons below a node, in tree order, and of their questions.

    ``students`` is how many are selected, None for all; ``first`` the number of the
    first row, from 0; ``total`` how many lessons the node has. What was received before
    ``complete_until`` is counted; None before the first run.
    """

    rows: list[LessonRow]
    questions: list[HardQuestion]
    students: int | None
    first: int
    total: int
    complete_until: datetime | None


def load(node: Node, selection: Selection, *, page: int = 0) -> NodeStatistics:
    """Return one page of the statistics of a node. At most eight queries.

    Args:
        node: a lesson, or a node with lessons below it.
        page: which `PAGE` lessons; a page after the last one is empty.

    Raises:
        TooManyRowsError: the class has more members than can be added up.
    """
    lessons = _lessons(node)
    first = page * PAGE
    # One more: the last row is compared with the lesson after it.
    shown = list(lessons[first : first + PAGE + 1])
    students, counts = _counts(selection, [lesson.public_id for lesson in shown])
    return NodeStatistics(
        rows=_rows(shown, counts)[:PAGE],
        questions=_questions(selection, {one.public_id: one for one in shown[:PAGE]}),
        students=students,
        first=first,
        total=lessons.count(),
        complete_until=write_back.complete_until(lesson_counting.KIND),
    )


def load_all(node: Node, selection: Selection) -> list[LessonRow]:
    """Return all lessons of a node. At most four queries.

    Raises:
        TooManyRowsError: the class has more members than can be added up.
    """
    lessons = list(_lessons(node))
    _students, counts = _counts(selection, [one.public_id for one in lessons])
    return _rows(lessons, counts)


def of_lesson(lesson: Node) -> LessonCounts:
    """Return the figures of a lesson for all students. One query."""
    _students, counts = _counts(Selection(), [lesson.public_id])
    return counts.get(lesson.public_id, LessonCounts())


def _lessons(node: Node) -> QuerySet[Any]:
    """Return the lessons of a node that are not in the trash, with topic and unit."""
    below = Node.objects.filter(
        tree_rows.outside_trash(),
        tree_id=node.tree_id,
        lft__gte=node.lft,
        rght__lte=node.rght,
        kind=Kind.LESSON.value,
    )
    found: QuerySet[Any] = (
        below.select_related("parent__parent")
        .only("public_id", "title", "parent__title", "parent__parent__title")
        .order_by("lft")
    )
    return found


def _counts(
    selection: Selection, lesson_ids: Sequence[str]
) -> tuple[int | None, dict[str, LessonCounts]]:
    """Return how many students are selected, and the figures by lesson id."""
    rows: Any
    students = None
    if selection.group is not None:
        members = _members(selection.group, len(lesson_ids))
        students = len(members)
        rows = PlayerLesson.objects.filter(player_id__in=members)
        sums = lesson_counting.lesson_sums()
    else:
        rows = LessonStatistics.objects.all()
        sums = {f"all_{name}": Sum(name) for name in LessonCounts._fields}
    if selection.plan is not None:
        rows = rows.filter(plan_number=selection.plan)
        if selection.group is None:
            students = Enrollment.objects.filter(plan_id=selection.plan).count()
    rows = rows.filter(lesson_id__in=lesson_ids).order_by().values_list("lesson_id")
    found = {
        lesson_id: LessonCounts(*values) for lesson_id, *values in rows.annotate(**sums)
    }
    return students, found


def _members(group: int, lessons: int) -> list[int]:
    members = GroupMember.objects.filter(group_id=group, player__erased_at=None)
    found = list(members.values_list("player_id", flat=True))
    if len(found) * lessons > MOST_ROWS:
        raise TooManyRowsError(
            _(
                "The group has too many students for so many lessons. Choose a unit or "
                "a topic."
            )
        )
    return found


def _rows(lessons: Sequence[Any], counts: dict[str, LessonCounts]) -> list[LessonRow]:
    found = [counts.get(lesson.public_id, LessonCounts()) for lesson in lessons]
    following: list[LessonCounts | None] = [*found[1:], None][: len(found)]
    return [
        LessonRow(
            pk=lesson.pk,
            public_id=lesson.public_id,
            title=lesson.title,
            topic=lesson.parent.title,
            unit=lesson.parent.parent.title,
            counts=mine,
            stopped=None if after is None else max(0, mine.started - after.started),
        )
        for lesson, mine, after in zip(lessons, found, following, strict=True)
    ]


def _questions(selection: Selection, lessons: dict[str, Any]) -> list[HardQuestion]:
    """Return the questions that failed most. Two queries."""
    rows: Any
    sums: dict[str, Any]
    if selection.group is not None:
        members = GroupMember.objects.filter(
            group_id=selection.group, player__erased_at=None
        ).values("player_id")
        rows = PlayerQuestion.objects.filter(player_id__in=members)
        is_leech = Q(failures__gte=settings.REVIEW_LEECH_FAILURES)
        sums = {
            "all_failures": Sum("failures"),
            "all_players": Count("pk"),
            "leeches": Count("pk", filter=is_leech),
        }
    else:
        rows = QuestionStatistics.objects.all()
        sums = {
            "all_failures": Sum("failures"),
            "all_players": Sum("players"),
            "leeches": Value(None, IntegerField()),
        }
    if selection.plan is not None:
        rows = rows.filter(plan_number=selection.plan)
    hardest = list(
        rows.filter(lesson_id__in=list(lessons))
        .order_by()
        .values_list("lesson_id", "item_id")
        .annotate(**sums)
        .filter(all_failures__gt=0)
        .order_by("-all_failures", "-all_players", "lesson_id", "item_id")[
            :MOST_QUESTIONS
        ]
    )
    texts = _texts({lessons[lesson_id].pk for lesson_id, *_rest in hardest})
    return [
        HardQuestion(
            item_id=item_id,
            text=texts.get((lessons[lesson_id].pk, item_id), ""),
            lesson_pk=lessons[lesson_id].pk,
            lesson_title=lessons[lesson_id].title,
            failures=failures,
            players=players,
            leeches=leeches,
        )
        for lesson_id, item_id, failures, players, leeches in hardest
    ]


def _texts(lesson_pks: set[int]) -> dict[tuple[int, str], str]:
    # With 0, which no row has, so that the number of queries is always the same.
    stages = LessonStage.objects.filter(lesson_id__in=[0, *lesson_pks])
    return {
        (lesson_pk, item_id): text
        for lesson_pk, kind, config in stages.values_list("lesson_id", "type", "config")
        for item_id, text in item_texts(kind, config).items()
    }

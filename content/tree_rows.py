"""The rows of the tree page: only those that are looked at, in a fixed number of queries.

A subject may hold ten thousand lessons: nothing here reads a branch that is closed.
What a closed branch holds is counted by the database.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import (
    Count,
    Exists,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Window,
)
from django.db.models.functions import Coalesce, RowNumber

from content.kinds import Kind
from content.models import LessonStage, Node

PAGE = 100
"""How many rows of a branch, or of what was found, are shown at once."""
MOST_ROWS = 2000
"""How many rows of one branch a page can hold."""

_COLUMNS = (
    "id",
    "public_id",
    "kind",
    "parent_id",
    "subject_id",
    "title",
    "is_published",
    "is_linear",
    "is_public",
    "is_free_preview",
    "required_item",
    "bit_index",
    "base_xp",
    "trashed_at",
    "tree_id",
    "lft",
    "rght",
    "level",
)
_ANCESTORS = ("parent", "parent__parent", "parent__parent__parent")
_ALL_ANCESTORS = (*_ANCESTORS, "parent__parent__parent__parent")


@dataclass(slots=True)
class Row:
    """A node and what is around it.

    ``above`` holds what it lies in, outermost first; ``lessons`` counts those inside
    that are not in the trash; ``is_holding`` says whether anything untrashed lies
    directly inside.
    """

    node: Node
    above: tuple[Node, ...]
    lessons: int = 0
    stages: int = 0
    is_holding: bool = False
    cells: Any = None
    """What the page says of it; the page fills it in."""
    branch: "Branch | None" = None
    """What lies inside, where that is open."""

    @property
    def trail(self) -> tuple[Node, ...]:
        """What it lies in, and itself."""
        return (*self.above, self.node)

    @property
    def draft_above(self) -> str:
        """The title of the outermost draft it lies in, or ""."""
        return next((node.title for node in self.above if not node.is_published), "")

    @property
    def is_in_trash(self) -> bool:
        """Whether it, or what it lies in, is in the trash."""
        return any(node.trashed_at is not None for node in self.trail)


@dataclass(slots=True)
class Branch:
    """The first rows inside ``parent`` (None: the subjects), of ``total``."""

    parent: Node | None
    rows: list[Row] = field(default_factory=list)
    total: int = 0
    start: int = 0

    @property
    def left(self) -> int:
        """How many more there are."""
        return self.total - self.start - len(self.rows)

    @property
    def level(self) -> int:
        """How deep the rows lie, from 1 (as ARIA counts)."""
        return 1 if self.parent is None else int(self.parent.level) + 2


def visible_rows(branch: Branch) -> Iterable[Row]:
    """The rows of ``branch`` and of all open branches in it, in order."""
    for row in branch.rows:
        yield row
        if row.branch is not None:
            yield from visible_rows(row.branch)


def outline(
    opened: Mapping[int, int],
    *,
    roots: int = PAGE,
    subjects: Collection[int] | None = None,
) -> Branch:
    """The subjects, with the rows of these open branches in their places. 5 queries.

    Args:
        opened: how many rows to show of each open branch, by the node's key.
        roots: how many subjects to show.
        subjects: which of them, by key; None for all.
    """
    top = Branch(None)
    branches: dict[int | None, Branch] = {None: top}
    shown: dict[int | None, int] = {None: roots, **dict(opened.items())}
    tops = Q(parent_id=None) if subjects is None else Q(pk__in=subjects)
    inside = Q(parent_id__in=opened) | tops
    for node in _numbered(inside, most=min(max(shown.values()), MOST_ROWS)):
        branch = branches.get(node.parent_id)
        if branch is None or node.place > shown[node.parent_id]:
            continue  # in something that is closed, or past what is shown
        branch.total = node.among
        above = _trail_of(branch, branches)
        row = Row(node, above)
        branch.rows.append(row)
        if node.pk in opened:
            row.branch = branches[node.pk] = Branch(node)
    _count(list(visible_rows(top)))
    return top


def _numbered(inside: Q, *, most: int, after: int = 0) -> QuerySet[Any]:
    """Untrashed nodes with their ``place`` among their siblings, from 1; parents first."""
    siblings = Node.objects.filter(inside, trashed_at__isnull=True).only(*_COLUMNS)
    order = ("tree_id", "lft")
    numbered: QuerySet[Any] = (
        siblings.annotate(
            place=Window(RowNumber(), partition_by=F("parent_id"), order_by=order),
            among=Window(Count("pk"), partition_by=F("parent_id")),
        )
        .filter(place__lte=most, place__gt=after)
        .order_by("level", "tree_id", "lft")
    )
    return numbered


def _trail_of(
    branch: Branch, branches: Mapping[int | None, Branch]
) -> tuple[Node, ...]:
    trail: list[Node] = []
    parent = branch.parent
    while parent is not None:
        trail.append(parent)
        parent = branches[parent.parent_id].parent
    return tuple(reversed(trail))


def branch_of(parent: Node, *, start: int = 0, most: int = PAGE) -> Branch:
    """The rows right inside ``parent`` from ``start`` on; 5 queries.

    Args:
        parent: with what it lies in at hand (`with_ancestors`).
    """
    branch = Branch(parent, start=start)
    inside = Q(parent_id=parent.pk)
    above = (*ancestors_of(parent), parent)
    for node in _numbered(inside, most=start + most, after=start):
        branch.total = node.among
        branch.rows.append(Row(node, above))
    _count(branch.rows)
    return branch


def with_ancestors(nodes: QuerySet[Any]) -> QuerySet[Any]:
    """``nodes`` with everything they lie in, in the same query."""
    paths = [*_COLUMNS]
    for path in _ALL_ANCESTORS:
        paths += [f"{path}__{column}" for column in _COLUMNS]
    joined: QuerySet[Any] = nodes.select_related(*_ALL_ANCESTORS).only(*paths)
    return joined


def ancestors_of(node: Node) -> tuple[Node, ...]:
    """What ``node`` lies in, outermost first (`with_ancestors`)."""
    trail: list[Node] = []
    parent = node.parent
    while parent is not None:
        trail.append(parent)
        parent = parent.parent
    return tuple(reversed(trail))


def path_to(node: Node) -> list[tuple[int | None, int]]:
    """How many rows of each branch must show for ``node`` to be among them.

    One query; the subjects' comes first, as None's.

    Args:
        node: with what it lies in at hand (`with_ancestors`).
    """
    trail = (*ancestors_of(node), node)
    inside = Q(parent_id__in=[above.pk for above in trail[:-1]]) | Q(parent_id=None)
    siblings = Node.objects.filter(inside, trashed_at__isnull=True).order_by()
    places = siblings.aggregate(
        **{
            f"place_{step}": Count(
                "pk",
                filter=Q(parent_id=found.parent_id)
                & (
                    Q(tree_id__lt=found.tree_id)
                    | Q(tree_id=found.tree_id, lft__lte=found.lft)
                ),
            )
            for step, found in enumerate(trail)
        }
    )
    return [
        (found.parent_id, places[f"place_{step}"]) for step, found in enumerate(trail)
    ]


def rows_of(nodes: Iterable[Node]) -> list[Row]:
    """Rows that stand alone, as those that were found; 4 queries.

    Args:
        nodes: with what they lie in at hand (`with_ancestors`).
    """
    rows = [Row(node, ancestors_of(node)) for node in nodes]
    _count(rows)
    return rows


def outside_trash() -> Q:
    """Nodes that neither are in the trash nor lie in anything that is."""
    condition = Q(trashed_at__isnull=True)
    for path in _ALL_ANCESTORS:
        condition &= Q(**{f"{path}__trashed_at__isnull": True})
    return condition


# --- Counting -----------------------------------------------------------------


def lessons_inside(
    nodes: QuerySet[Any], counted: Q, *, name: str = "lessons"
) -> QuerySet[Any]:
    """``nodes`` with how many ``counted`` lessons lie in each, as ``name``."""
    inside = Node.objects.filter(
        counted,
        kind=Kind.LESSON.value,
        tree_id=OuterRef("tree_id"),
        lft__gt=OuterRef("lft"),
        lft__lt=OuterRef("rght"),
    )
    number = inside.order_by().values("tree_id").annotate(n=Count("pk")).values("n")
    counts = Coalesce(Subquery(number, output_field=IntegerField()), 0)
    annotated: QuerySet[Any] = nodes.annotate(**{name: counts})
    return annotated


def count_visible(
    rows: Sequence[Row], *, counted: Q, gone: Q, lost: Collection[int] = ()
) -> dict[int, int]:
    """How many ``counted`` lessons lie in each row's node and in nothing ``gone``.

    Two queries. What is gone is seldom much: the lessons in it are subtracted.

    Args:
        gone: containers whose lessons do not count.
        lost: lessons among the counted that do not count either.
    """
    holders = [row.node for row in rows if row.node.kind != Kind.LESSON]
    trees = {node.tree_id for node in holders}
    whole = Node.objects.filter(pk__in=[node.pk for node in holders]).order_by()
    counts = dict(lessons_inside(whole, counted).values_list("pk", "lessons"))
    lost_lessons = Q(pk__in=lost, kind=Kind.LESSON.value) & counted
    missing = lessons_inside(
        Node.objects.filter(
            (gone & ~Q(kind=Kind.LESSON.value)) | lost_lessons, tree_id__in=trees
        ).order_by("tree_id", "lft"),
        counted,
    )
    spans: list[tuple[int, int, int, int]] = []
    for tree, left, right, kind, lessons in missing.values_list(
        "tree_id", "lft", "rght", "kind", "lessons"
    ):
        if spans and spans[-1][0] == tree and right < spans[-1][2]:
            continue  # in one that is gone already
        spans.append((tree, left, right, 1 if kind == Kind.LESSON else lessons))
    for node in holders:
        if node.pk not in counts:
            continue  # deleted a moment ago
        for tree, left, right, lessons in spans:
            if tree != node.tree_id:
                continue
            if left <= node.lft and node.rght <= right:
                counts[node.pk] = 0
                break
            if node.lft < left and right < node.rght:
                counts[node.pk] -= lessons
    return counts


def _count(rows: Sequence[Row]) -> None:
    """Fill in what is counted of each row. 4 queries."""
    lessons = count_visible(
        rows,
        counted=Q(trashed_at__isnull=True),
        gone=Q(trashed_at__isnull=False),
    )
    pks = [row.node.pk for row in rows]
    children = Node.objects.filter(parent=OuterRef("pk"), trashed_at__isnull=True)
    holding = set(
        Node.objects.filter(Exists(children), pk__in=pks)
        .order_by()
        .values_list("pk", flat=True)
    )
    stages = dict(
        LessonStage.objects.filter(lesson_id__in=pks)
        .order_by()
        .values_list("lesson_id")
        .annotate(Count("pk"))
    )
    for row in rows:
        row.lessons = lessons.get(row.node.pk, 0)
        row.is_holding = row.node.pk in holding
        row.stages = stages.get(row.node.pk, 0)

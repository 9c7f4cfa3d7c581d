"""The visible rows of the tree page, in a fixed number of queries.

A subject may have ten thousand lessons, so closed branches are not read. The database
counts their contents.
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

from content.field_lists import NodeFields
from content.kinds import Kind
from content.models import LessonStage, Node

PAGE = 100
"""How many rows of a branch, or of search results, are shown at once."""
MAX_ROWS = 2000
"""How many rows of one branch a page can show."""

_ANCESTORS = ("parent", "parent__parent", "parent__parent__parent")
_ALL_ANCESTORS = (*_ANCESTORS, "parent__parent__parent__parent")


@dataclass(slots=True)
class Row:
    """A node of the tree page with its ancestors and counts.

    ``above`` holds the ancestors, outermost first. ``lessons`` counts the descendant
    lessons that are not in the trash. ``is_holding`` is true when the node has a child
    that is not in the trash.
    """

    node: Node
    above: tuple[Node, ...]
    lessons: int = 0
    stages: int = 0
    is_holding: bool = False
    is_unfinished: bool = False
    """Whether a version of the lesson is saved that is not complete."""
    cells: Any = None
    """The cells of the row; the page fills them in."""
    branch: "Branch | None" = None
    """The rows inside, when the node is open."""

    @property
    def trail(self) -> tuple[Node, ...]:
        """The ancestors and the node itself."""
        return (*self.above, self.node)

    @property
    def draft_above(self) -> str:
        """The title of the outermost unpublished ancestor, or ""."""
        return next((node.title for node in self.above if not node.is_published), "")

    @property
    def is_in_trash(self) -> bool:
        """Whether the node or an ancestor is in the trash."""
        return any(node.trashed_at is not None for node in self.trail)


@dataclass(slots=True)
class Branch:
    """The shown rows inside ``parent`` (None: the subjects), of ``total``."""

    parent: Node | None
    rows: list[Row] = field(default_factory=list)
    total: int = 0
    start: int = 0

    @property
    def left(self) -> int:
        """How many more rows there are."""
        return self.total - self.start - len(self.rows)

    @property
    def level(self) -> int:
        """The depth of the rows, from 1 (as ARIA counts)."""
        return 1 if self.parent is None else int(self.parent.level) + 2


def visible_rows(branch: Branch) -> Iterable[Row]:
    """Yield the rows of ``branch`` and of all open branches in it, in order."""
    for row in branch.rows:
        yield row
        if row.branch is not None:
            yield from visible_rows(row.branch)


def tree_page_rows(
    opened: Mapping[int, int],
    *,
    roots: int = PAGE,
    subjects: Collection[int] | None = None,
) -> Branch:
    """Return the subjects with the rows of the open branches inside. 5 queries.

    Args:
        opened: how many rows to show of each open branch, by the node's key.
        roots: how many subjects to show.
        subjects: the keys of the subjects to show; None for all.
    """
    top = Branch(None)
    branches: dict[int | None, Branch] = {None: top}
    shown: dict[int | None, int] = {None: roots, **dict(opened.items())}
    tops = Q(parent_id=None) if subjects is None else Q(pk__in=subjects)
    inside = Q(parent_id__in=opened) | tops
    for node in _numbered(inside, limit=min(max(shown.values()), MAX_ROWS)):
        branch = branches.get(node.parent_id)
        if branch is None or node.place > shown[node.parent_id]:
            continue  # inside a closed node, or after the last shown row
        branch.total = node.among
        above = _trail_of(branch, branches)
        row = Row(node, above)
        branch.rows.append(row)
        if node.pk in opened:
            row.branch = branches[node.pk] = Branch(node)
    _count(list(visible_rows(top)))
    return top


def _numbered(inside: Q, *, limit: int, after: int = 0) -> QuerySet[Any]:
    """Return untrashed nodes with ``place``, their position among their siblings.

    ``place`` starts at 1; ``among`` is the number of siblings. Parents come first.
    """
    siblings = Node.objects.filter(inside, trashed_at__isnull=True).only(
        *NodeFields.TREE_ROW
    )
    order = ("tree_id", "lft")
    numbered: QuerySet[Any] = (
        siblings.annotate(
            place=Window(RowNumber(), partition_by=F("parent_id"), order_by=order),
            among=Window(Count("pk"), partition_by=F("parent_id")),
        )
        .filter(place__lte=limit, place__gt=after)
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


def branch_of(parent: Node, *, start: int = 0, limit: int = PAGE) -> Branch:
    """Return the child rows of ``parent``, from index ``start``. 5 queries.

    Args:
        parent: read with its ancestors (`with_ancestors`).
    """
    branch = Branch(parent, start=start)
    inside = Q(parent_id=parent.pk)
    above = (*ancestors_of(parent), parent)
    for node in _numbered(inside, limit=start + limit, after=start):
        branch.total = node.among
        branch.rows.append(Row(node, above))
    _count(branch.rows)
    return branch


def with_ancestors(nodes: QuerySet[Any]) -> QuerySet[Any]:
    """Return ``nodes`` with all their ancestors, in the same query."""
    paths = [*NodeFields.TREE_ROW]
    for path in _ALL_ANCESTORS:
        paths += [f"{path}__{column}" for column in NodeFields.TREE_ROW]
    joined: QuerySet[Any] = nodes.select_related(*_ALL_ANCESTORS).only(*paths)
    return joined


def ancestors_of(node: Node) -> tuple[Node, ...]:
    """Return the ancestors of ``node``, outermost first (see `with_ancestors`)."""
    trail: list[Node] = []
    parent = node.parent
    while parent is not None:
        trail.append(parent)
        parent = parent.parent
    return tuple(reversed(trail))


def path_to(node: Node) -> list[tuple[int | None, int]]:
    """Return how many rows of each branch must be shown to include ``node``.

    Pairs of a parent's key and a number of rows; the first is for the subjects (None).
    One query.

    Args:
        node: read with its ancestors (`with_ancestors`).
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
    """Return rows without branches, such as search results. 4 queries.

    Args:
        nodes: read with their ancestors (`with_ancestors`).
    """
    rows = [Row(node, ancestors_of(node)) for node in nodes]
    _count(rows)
    return rows


def outside_trash() -> Q:
    """Return a condition for nodes that are not in the trash, nor any ancestor."""
    condition = Q(trashed_at__isnull=True)
    for path in _ALL_ANCESTORS:
        condition &= Q(**{f"{path}__trashed_at__isnull": True})
    return condition


# --- Counting -----------------------------------------------------------------


def lessons_inside(
    nodes: QuerySet[Any], counted: Q, *, name: str = "lessons"
) -> QuerySet[Any]:
    """Annotate ``nodes`` with the number of ``counted`` lessons inside, as ``name``."""
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
    rows: Sequence[Row], *, counted: Q, excluded: Q, excluded_pks: Collection[int] = ()
) -> dict[int, int]:
    """Count the ``counted`` lessons inside each row's node, except those in ``excluded``.

    Two queries. Few nodes are usually gone, so the lessons in them are subtracted.

    Args:
        excluded: a condition for containers whose lessons do not count.
        excluded_pks: keys of counted lessons that do not count either.

    Returns:
        The numbers by the node's key; lessons and deleted nodes are missing.
    """
    holders = [row.node for row in rows if row.node.kind != Kind.LESSON]
    trees = {node.tree_id for node in holders}
    whole = Node.objects.filter(pk__in=[node.pk for node in holders]).order_by()
    counts = dict(lessons_inside(whole, counted).values_list("pk", "lessons"))
    lost_lessons = Q(pk__in=excluded_pks, kind=Kind.LESSON.value) & counted
    missing = lessons_inside(
        Node.objects.filter(
            (excluded & ~Q(kind=Kind.LESSON.value)) | lost_lessons, tree_id__in=trees
        ).order_by("tree_id", "lft"),
        counted,
    )
    spans: list[tuple[int, int, int, int]] = []
    for tree, left, right, kind, lessons in missing.values_list(
        "tree_id", "lft", "rght", "kind", "lessons"
    ):
        if spans and spans[-1][0] == tree and right < spans[-1][2]:
            continue  # inside another one that is gone
        spans.append((tree, left, right, 1 if kind == Kind.LESSON else lessons))
    for node in holders:
        if node.pk not in counts:
            continue  # deleted by another request
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
    """Fill in the counts of each row. 4 queries."""
    lessons = count_visible(
        rows,
        counted=Q(trashed_at__isnull=True),
        excluded=Q(trashed_at__isnull=False),
    )
    pks = [row.node.pk for row in rows]
    children = Node.objects.filter(parent=OuterRef("pk"), trashed_at__isnull=True)
    # A lesson has no children, and only lessons may be unfinished.
    found = dict(
        Node.objects.filter(Exists(children) | Q(unfinished__isnull=False), pk__in=pks)
        .order_by()
        .values_list("pk", "unfinished__lesson_id")
    )
    stages = dict(
        LessonStage.objects.filter(lesson_id__in=pks)
        .order_by()
        .values_list("lesson_id")
        .annotate(Count("pk"))
    )
    for row in rows:
        row.lessons = lessons.get(row.node.pk, 0)
        row.is_holding = row.node.pk in found and found[row.node.pk] is None
        row.is_unfinished = found.get(row.node.pk) is not None
        row.stages = stages.get(row.node.pk, 0)

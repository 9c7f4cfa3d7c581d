"""What the tree page says of each row beyond the node's own fields."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.db.models import Count

from content.kinds import Kind
from content.models import LessonStage, Node


@dataclass(frozen=True, slots=True)
class RowFacts:
    """A row's surroundings.

    ``draft_above`` is the title of the outermost draft it lies in, or "";
    ``is_in_trash`` says whether it, or what it lies in, is in the trash;
    ``path`` holds the titles above it, outermost first.
    """

    path: tuple[str, ...]
    draft_above: str
    is_in_trash: bool
    lessons: int = 0
    stages: int = 0


_COLUMNS = ("pk", "tree_id", "rght", "kind", "title", "is_published", "trashed_at")


def facts_of(nodes: Sequence[Node]) -> dict[int, RowFacts]:
    """The facts of each of ``nodes``, by primary key.

    Two queries, whatever their number: the trees they lie in, and the stages.
    """
    trees = sorted({node.tree_id for node in nodes})
    rows = Node.objects.filter(tree_id__in=trees).order_by("tree_id", "lft")
    stages = dict(
        LessonStage.objects.filter(lesson__tree_id__in=trees)
        .order_by()
        .values_list("lesson_id")
        .annotate(Count("pk"))
    )
    facts: dict[int, RowFacts] = {}
    lessons: Counter[int] = Counter()
    above: list[tuple[int, int, int, RowFacts]] = []  # tree, right end, pk, for below
    for pk, tree, right, kind, title, is_published, trashed_at in rows.values_list(
        *_COLUMNS
    ):
        while above and (above[-1][0] != tree or above[-1][1] < right):
            above.pop()
        around = above[-1][3] if above else RowFacts((), "", is_in_trash=False)
        is_in_trash = around.is_in_trash or trashed_at is not None
        facts[pk] = replace(around, is_in_trash=is_in_trash, stages=stages.get(pk, 0))
        if kind == Kind.LESSON:
            if not is_in_trash:
                lessons.update(holder for *_, holder, _facts in above)
            continue
        draft = around.draft_above or ("" if is_published else title)
        below = RowFacts((*around.path, title), draft, is_in_trash)
        above.append((tree, right, pk, below))
    return {
        node.pk: replace(facts[node.pk], lessons=lessons[node.pk])
        for node in nodes
        if node.pk in facts
    }

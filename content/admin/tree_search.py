"""Search conditions and open branches of the tree page."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from content import tree_rows
from content.kinds import Kind
from content.models import LessonStage, Node, NodeKind
from core.folding import fold
from core.parsing import is_key

_MAX_OPEN = 500
STATES = (
    ("published", gettext_lazy("Published")),
    ("draft", gettext_lazy("Draft")),
    ("empty", gettext_lazy("Lesson without stages")),
    ("trash", gettext_lazy("In the trash")),
)


@dataclass(frozen=True, slots=True)
class Search:
    """A search of the tree page."""

    query: str = ""
    kind: str = ""
    state: str = ""
    subject: str = ""

    @classmethod
    def of(cls, request: HttpRequest) -> "Search":
        """Read the search from the query string; invalid values are ignored."""
        params = request.GET
        subject = params.get("subject", "")
        return cls(
            query=params.get("q", "").strip()[:200],
            kind=one_of(params.get("kind"), NodeKind.values),
            state=one_of(params.get("state"), [value for value, _l in STATES]),
            subject=subject if is_key(subject) else "",
        )

    @property
    def is_active(self) -> bool:
        return bool(self.query or self.kind or self.state or self.subject)

    @property
    def shows_trash(self) -> bool:
        return self.state == "trash"

    def nodes(self) -> QuerySet[Any]:
        """Return the nodes that match all conditions, in tree order, with ancestors."""
        found = tree_rows.with_ancestors(Node.objects.order_by("tree_id", "lft"))
        if self.shows_trash:
            found = found.filter(trashed_at__isnull=False)
        else:
            found = found.filter(tree_rows.outside_trash())
        if self.query:
            found = found.filter(matching(self.query))
        if self.kind:
            found = found.filter(kind=self.kind)
        if self.subject:
            found = found.filter(Q(pk=self.subject) | Q(subject_id=self.subject))
        match self.state:
            case "published":
                found = found.filter(is_published=True)
            case "draft":
                found = found.filter(is_published=False)
            case "empty":
                stages = LessonStage.objects.filter(lesson=OuterRef("pk"))
                found = found.filter(~Exists(stages), kind=Kind.LESSON.value)
        return found


def matching(words: str) -> Q:
    """Return a condition for titles with all words, or for an id prefix.

    The words match in any spelling (`core.folding`).
    """
    titled = Q()
    for word in fold(words).split():
        titled &= Q(title_folded__contains=word)
    return titled | Q(public_id__istartswith=words)


def one_of(value: str | None, allowed: Sequence[str]) -> str:
    return value if value is not None and value in allowed else ""


def page_query(request: HttpRequest, page: int) -> str:
    """Return the request's query string for another page of results, from 0."""
    query = request.GET.copy()
    query["p"] = str(page)
    return f"?{query.urlencode()}"


def expanded_path(pks: Collection[int]) -> list[list[Any]] | None:
    """Return the branches to open, so that the last of these nodes is visible.

    Pairs of a branch's key ("" for the subjects) and the number of its rows. Two
    queries.

    Returns:
        None if all of them are in the trash or deleted.
    """
    nodes = tree_rows.with_ancestors(Node.objects.filter(tree_rows.outside_trash()))
    node = nodes.filter(pk__in=pks).order_by("tree_id", "lft").last()
    if node is None:
        return None
    return [
        # Beyond the maximum of a page, more rows would not show the node.
        [str(pk or ""), place if place <= tree_rows.MAX_ROWS else tree_rows.PAGE]
        for pk, place in tree_rows.path_to(node)
    ]


def expanded_nodes(text: str) -> dict[int, int]:
    """Parse ``12,15:300``: the keys of open branches and the number of their rows."""
    opened = {}
    for part in text.split(",")[:_MAX_OPEN]:
        pk, _colon, shown = part.partition(":")
        if is_key(pk):
            rows = int(shown) if is_key(shown) else tree_rows.PAGE
            opened[int(pk)] = min(max(rows, tree_rows.PAGE), tree_rows.MAX_ROWS)
    return opened

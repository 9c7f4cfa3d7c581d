"""Read a subject's tree in a fixed number of queries."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from django.core.files.storage import default_storage
from django.db import connection
from django.db.models import Count, Q, TextField
from django.db.models.functions import Cast

from content.kinds import Kind
from content.models import LessonStage, Node, StageQuerySet
from content.tree import ContentNode, Stage

_FIELDS = (
    "pk",
    "parent_id",
    "public_id",
    "kind",
    "title",
    "description",
    "image",
    "color_code",
    "is_published",
    "trashed_at",
    "is_linear",
    "is_public",
    "is_free_preview",
    "required_item",
    "base_xp",
    "bit_index",
    "stages_revision",
)


_BATCH = 500

_KINDS = {kind.value: kind for kind in Kind}


class LessonHeader(NamedTuple):
    """The fields of a lesson that are read before its stages.

    ``stages_revision`` is the subject's revision at the last change of the stages.
    """

    pk: int
    subject_pk: int
    id: str
    title: str
    description: str
    image: str
    stages_revision: int


def load_subject(
    subject_pk: int, *, is_known: Callable[[LessonHeader], bool] | None = None
) -> ContentNode:
    """Return the subject with all descendants, including drafts and trash.

    Three queries for any size, four with ``is_known``. It reads rows instead of model
    instances, which is ten times cheaper.

    Args:
        is_known: called for each published lesson that is not in the trash; returns
            whether the caller does not need its stages. Stages are most of the data.

    Raises:
        Node.DoesNotExist: no subject has this primary key.
    """
    root = Node.objects.filter(pk=subject_pk, kind=Kind.SUBJECT.value)
    row = root.values_list(*_FIELDS).get()
    below = Node.objects.filter(subject_id=subject_pk).order_by("lft")
    rows = [row, *below.values_list(*_FIELDS)]
    wanted = LessonStage.objects.filter(lesson__subject_id=subject_pk)
    if is_known is None:
        return _assembled(rows, _load_stages(wanted))
    counted = wanted.order_by().values_list("lesson_id").annotate(Count("pk"))
    unknown = [
        fields[0]
        for fields in rows
        if _may_be_shown(fields) and not is_known(_header(subject_pk, fields))
    ]
    if len(unknown) <= _BATCH:
        wanted = LessonStage.objects.filter(lesson_id__in=unknown)
    stages = _load_stages(wanted) if unknown else {}
    return _assembled(rows, stages, dict(counted))


def load_branch(node: Node, *, with_stages: bool) -> ContentNode:
    """Return the subject of ``node`` with only its ancestors and descendants.

    At most two queries; drafts and trash are included.
    """
    around = Q(lft__lte=node.lft, rght__gte=node.rght)
    around |= Q(lft__gt=node.lft, rght__lt=node.rght)
    nodes = Node.objects.filter(around, tree_id=node.tree_id).order_by("lft")
    stages = LessonStage.objects.filter(
        lesson__tree_id=node.tree_id,
        lesson__lft__gte=node.lft,
        lesson__rght__lte=node.rght,
    )
    found = _load_stages(stages) if with_stages else {}
    return _assembled(list(nodes.values_list(*_FIELDS)), found)


def _assembled(
    rows: Sequence[Sequence[Any]],
    stages: Mapping[int, Sequence[Stage]],
    counts: Mapping[int, int] | None = None,
) -> ContentNode:
    """Build the tree from rows in tree order; the first row is the root.

    ``counts`` holds the number of stages by lesson, when not all were read.
    """
    # In reverse order, so that a node's children are built before the node.
    children: dict[int, list[ContentNode]] = defaultdict(list)
    for fields in reversed(rows[1:]):
        pk, parent_pk = fields[0], fields[1]
        found = stages.get(pk, ())
        unread = counts.get(pk, 0) - len(found) if counts else 0
        node = _node(fields, children.pop(pk, ()), found, unread)
        children[parent_pk].append(node)
    return _node(rows[0], children.pop(rows[0][0], ()), ())


def _may_be_shown(fields: Sequence[Any]) -> bool:
    """Return whether the row is a published lesson that is not in the trash."""
    return bool(fields[3] == Kind.LESSON.value and fields[8] and fields[9] is None)


def _header(subject_pk: int, fields: Sequence[Any]) -> LessonHeader:
    (pk, _parent, public_id, _kind, title, description, image, *_rest) = fields
    url = image_url(image)
    return LessonHeader(pk, subject_pk, public_id, title, description, url, fields[-1])


def load_edited_lessons(
    subject_pk: int, *, since: int
) -> list[tuple[ContentNode, str]]:
    """Return the lessons whose stages changed after the subject's revision ``since``.

    Each with the public id of its topic. Two queries, which do not read unchanged
    lessons.
    """
    edited = Node.objects.filter(subject_id=subject_pk, stages_revision__gt=since)
    rows = list(edited.order_by("lft").values_list(*_FIELDS, "parent__public_id"))
    if not rows:
        return []
    pks = [row[0] for row in rows]
    stages = _load_stages(LessonStage.objects.filter(lesson_id__in=pks))
    return [
        (_node(fields, (), stages.get(fields[0], ())), topic_id)
        for *fields, topic_id in rows
    ]


def _node(
    fields: Sequence[Any],
    children: Sequence[ContentNode],
    stages: Sequence[Stage],
    unread_stages: int = 0,
) -> ContentNode:
    """Build a node from a row; ``children`` are in reverse order."""
    (pk, _parent, public_id, kind, title, description, image, *rest) = fields
    (color, published, trashed, linear, public, free, item, xp, bit, _revision) = rest
    return ContentNode(
        pk=pk,
        id=public_id,
        kind=_KINDS[kind],
        title=title,
        description=description,
        image=image_url(image),
        color_code=color,
        is_published=published,
        is_trashed=trashed is not None,
        is_linear=linear,
        is_public=public,
        is_free_preview=free,
        required_item=item,
        base_xp=xp,
        bit_index=bit,
        children=tuple(reversed(children)),
        stages=tuple(stages),
        unread_stages=unread_stages,
    )


def _load_stages(stages: StageQuerySet) -> dict[int, list[Stage]]:
    """Return the stages by lesson, in order, with their configs as text. One query.

    The cursor is read directly: the ORM's row conversion takes twice as long as the
    database, and stages are most of what a build reads.
    """
    query = (
        stages.order_by("lesson_id", "position", "pk")
        .annotate(text=Cast("config", TextField()))
        .values_list(
            "lesson_id",
            "public_id",
            "type",
            "title",
            "text",
            "weight",
            "target_time",
            "is_skippable",
        )
    )
    found: dict[int, list[Stage]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(*query.query.sql_with_params())
        for pk, stage_id, kind, title, text, weight, seconds, skippable in cursor:
            found[pk].append(
                Stage(stage_id, kind, title, text, weight, seconds, bool(skippable))
            )
    return found


def image_url(name: str) -> str:
    """Return the URL of an image field's value; "" for none; URLs are unchanged."""
    if not name or name.startswith(("http://", "https://")):
        return name
    return default_storage.url(name)


def primary_keys(made: Iterable[Node]) -> dict[str, int]:
    """Return the keys of nodes just inserted in bulk, by public id.

    Not every database returns the keys of inserted rows; then one query per 500.
    """
    found = {node.public_id: node.pk for node in made}
    missing = [public_id for public_id, pk in found.items() if pk is None]
    for start in range(0, len(missing), _BATCH):
        rows = Node.objects.filter(public_id__in=missing[start : start + _BATCH])
        found.update(rows.values_list("public_id", "pk"))
    return found

"""Read a subject's tree in a fixed number of queries."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from datetime import datetime
from typing import Any, NamedTuple

from django.core.files.storage import default_storage
from django.db import connection
from django.db.models import Count, Exists, OuterRef, Q, TextField
from django.db.models.functions import Cast

from content.field_lists import NodeFields, StageFields
from content.history.revert import version_at
from content.kinds import Kind
from content.models import LessonStage, Node, StageQuerySet
from content.tree import ContentNode, Stage
from core.batches import BATCH_SIZE, batches
from core.fields import CanonicalJSONEncoder

_NODE = ("public_id", "kind", "trashed_at", "bit_index", *NodeFields.CONTENT)
"""The columns that a `ContentNode` is made of, besides its key."""
_ROW = ("pk", "parent_id", "stages_revision", *_NODE)
_STAGE = tuple("text" if name == "config" else name for name in StageFields.CONTENT)

_Values = Mapping[str, Any]
"""The columns `_ROW` of a node, by name."""


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
    row = root.values(*_ROW).get()
    below = Node.objects.filter(subject_id=subject_pk).order_by("lft")
    rows = [row, *below.values(*_ROW)]
    wanted = LessonStage.objects.filter(lesson__subject_id=subject_pk)
    if is_known is None:
        return _assembled(rows, _load_stages(wanted))
    counted = wanted.order_by().values_list("lesson_id").annotate(Count("pk"))
    unknown = [
        row["pk"]
        for row in rows
        if _may_be_shown(row) and not is_known(_header(subject_pk, row))
    ]
    if len(unknown) <= BATCH_SIZE:
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
    return _assembled(list(nodes.values(*_ROW)), found)


def _assembled(
    rows: Sequence[_Values],
    stages: Mapping[int, Sequence[Stage]],
    counts: Mapping[int, int] | None = None,
) -> ContentNode:
    """Build the tree from rows in tree order; the first row is the root.

    ``counts`` holds the number of stages by lesson, when not all were read.
    """
    # In reverse order, so that a node's children are built before the node.
    children: dict[int, list[ContentNode]] = defaultdict(list)
    for row in reversed(rows[1:]):
        pk = row["pk"]
        found = stages.get(pk, ())
        unread = counts.get(pk, 0) - len(found) if counts else 0
        below = reversed(children.pop(pk, ()))
        node = _content_node(row, children=below, stages=found, unread_stages=unread)
        children[row["parent_id"]].append(node)
    root = rows[0]
    return _content_node(root, children=reversed(children.pop(root["pk"], ())))


def _may_be_shown(row: _Values) -> bool:
    """Return whether the row is a published lesson that is not in the trash."""
    is_lesson: bool = row["kind"] == Kind.LESSON.value
    return is_lesson and row["is_published"] and row["trashed_at"] is None


def _header(subject_pk: int, row: _Values) -> LessonHeader:
    return LessonHeader(
        pk=row["pk"],
        subject_pk=subject_pk,
        id=row["public_id"],
        title=row["title"],
        description=row["description"],
        image=image_url(row["image"]),
        stages_revision=row["stages_revision"],
    )


def load_edited_lessons(
    subject_pk: int, *, since: int
) -> list[tuple[ContentNode, str]]:
    """Return the lessons whose stages changed after the subject's revision ``since``.

    Each with the public id of its topic. Two queries, which do not read unchanged
    lessons.
    """
    edited = Node.objects.filter(subject_id=subject_pk, stages_revision__gt=since)
    rows = list(edited.order_by("lft").values(*_ROW, "parent__public_id"))
    if not rows:
        return []
    pks = [row["pk"] for row in rows]
    stages = _load_stages(LessonStage.objects.filter(lesson_id__in=pks))
    return [
        (_content_node(row, stages=stages.get(row["pk"], ())), row["parent__public_id"])
        for row in rows
    ]


def load_lesson(lesson: Node) -> ContentNode:
    """Return the lesson with its stored stages. One query."""
    stages = _load_stages(LessonStage.objects.filter(lesson=lesson))
    return content_node(lesson, stages=stages.get(lesson.pk, ()))


def load_earlier_lesson(lesson: Node, moment: datetime) -> ContentNode | None:
    """Return the lesson with its stages at ``moment``; None if it did not exist.

    Two queries.
    """
    version = version_at(lesson, moment)
    if version is None:
        return None
    earlier = copy(lesson)
    for name in NodeFields.CONTENT:
        setattr(earlier, name, getattr(version.lesson, name))
    stages = [
        Stage(
            id=row.public_id,
            config=json.dumps(row.config, cls=CanonicalJSONEncoder),
            **{
                name: getattr(row, name)
                for name in StageFields.CONTENT
                if name != "config"
            },
        )
        for row in version.stages
    ]
    return content_node(earlier, stages=stages)


def neighbours(lesson: Node) -> tuple[Node | None, Node | None]:
    """Return the lessons before and after ``lesson`` in its subject. Two queries.

    Lessons in the trash, or inside an entry in the trash, are left out.
    """
    trashed_above = Node.objects.filter(
        tree_id=OuterRef("tree_id"),
        lft__lte=OuterRef("lft"),
        rght__gte=OuterRef("rght"),
        trashed_at__isnull=False,
    )
    lessons = Node.objects.filter(
        ~Exists(trashed_above), tree_id=lesson.tree_id, kind=Kind.LESSON.value
    ).only("title")
    return (
        lessons.filter(lft__lt=lesson.lft).order_by("-lft").first(),
        lessons.filter(lft__gt=lesson.lft).order_by("lft").first(),
    )


def content_node(node: Node, *, stages: Iterable[Stage] = ()) -> ContentNode:
    """Return ``node``, which need not be saved, without its children. No query.

    Texts that a query deferred are empty (`NodeFields.TREE_ROW`).
    """
    unread = node.get_deferred_fields().difference(NodeFields.TREE_ROW)
    row = {name: "" if name in unread else getattr(node, name) for name in _NODE}
    return _content_node({"pk": node.pk or 0, **row}, stages=stages)


def _content_node(
    row: _Values,
    *,
    children: Iterable[ContentNode] = (),
    stages: Iterable[Stage] = (),
    unread_stages: int = 0,
) -> ContentNode:
    content = {name: row[name] for name in NodeFields.CONTENT}
    return ContentNode(
        pk=row["pk"],
        id=row["public_id"],
        kind=Kind(row["kind"]),
        is_trashed=row["trashed_at"] is not None,
        bit_index=row["bit_index"],
        children=tuple(children),
        stages=tuple(stages),
        unread_stages=unread_stages,
        **{**content, "image": image_url(str(content["image"]))},
    )


def _load_stages(stages: StageQuerySet) -> dict[int, list[Stage]]:
    """Return the stages by lesson, in order, with their configs as text. One query.

    The cursor is read directly: the ORM's row conversion takes twice as long as the
    database, and stages are most of what a build reads.
    """
    query = (
        stages.order_by("lesson_id", "position", "pk")
        .annotate(text=Cast("config", TextField()))
        .values_list("lesson_id", "public_id", *_STAGE)
    )
    found: dict[int, list[Stage]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(*query.query.sql_with_params())
        for pk, *values, is_skippable in cursor:
            found[pk].append(Stage._make([*values, bool(is_skippable)]))
    return found


def image_url(name: str) -> str:
    """Return the URL of an image field's value; "" for none; URLs are unchanged."""
    if not name or name.startswith(("http://", "https://")):
        return name
    return default_storage.url(name)


def primary_keys(nodes: Iterable[Node]) -> dict[str, int]:
    """Return the keys of nodes just inserted in bulk, by public id.

    Not every database returns the keys of inserted rows; then one query per 500.
    """
    found = {node.public_id: node.pk for node in nodes}
    missing = [public_id for public_id, pk in found.items() if pk is None]
    for batch in batches(missing):
        rows = Node.objects.filter(public_id__in=batch)
        found.update(rows.values_list("public_id", "pk"))
    return found

"""Reading a subject's tree in a fixed number of queries."""

from collections import defaultdict
from collections.abc import Iterable

from django.core.files.storage import default_storage
from django.db.models import TextField
from django.db.models.functions import Cast

from content.kinds import Kind
from content.models import LessonStage, Node
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
)


def load_subject(subject_pk: int) -> ContentNode:
    """The subject with everything below it, drafts and trash included.

    Three queries, whatever the size. Rows, not model instances: ten times cheaper.

    Raises:
        Node.DoesNotExist: no subject has this primary key.
    """
    root = Node.objects.filter(pk=subject_pk, kind=Kind.SUBJECT.value)
    row = root.values_list(*_FIELDS).get()
    below = (
        Node.objects.filter(subject_id=subject_pk).order_by("lft").values_list(*_FIELDS)
    )
    stages = _load_stages(subject_pk)
    rows_of: dict[int, list[tuple[object, ...]]] = defaultdict(list)
    for child in below:
        rows_of[child[1]].append(child)

    def build(fields: tuple[object, ...]) -> ContentNode:
        (pk, _parent, public_id, kind, title, description, image, *rest) = fields
        (color, published, trashed, linear, public, free, item, xp, bit) = rest
        return ContentNode(
            pk=pk,  # type: ignore[arg-type]
            id=public_id,  # type: ignore[arg-type]
            kind=Kind(kind),  # type: ignore[arg-type]
            title=title,  # type: ignore[arg-type]
            description=description,  # type: ignore[arg-type]
            image=image_url(image),  # type: ignore[arg-type]
            color_code=color,  # type: ignore[arg-type]
            is_published=published,  # type: ignore[arg-type]
            is_trashed=trashed is not None,
            is_linear=linear,  # type: ignore[arg-type]
            is_public=public,  # type: ignore[arg-type]
            is_free_preview=free,  # type: ignore[arg-type]
            required_item=item,  # type: ignore[arg-type]
            base_xp=xp,  # type: ignore[arg-type]
            bit_index=bit,  # type: ignore[arg-type]
            children=tuple(build(child) for child in rows_of[pk]),  # type: ignore[index]
            stages=tuple(stages.get(pk, ())),  # type: ignore[call-overload]
        )

    return build(row)


def _load_stages(subject_pk: int) -> dict[int, list[Stage]]:
    rows: Iterable[tuple[object, ...]] = (
        LessonStage.objects.filter(lesson__subject_id=subject_pk)
        .order_by("lesson_id", "position", "pk")
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
    for lesson_pk, *fields in rows:
        found[lesson_pk].append(Stage(*fields))  # type: ignore[index, arg-type]
    return found


def image_url(name: str) -> str:
    """The URL of an image field's value; "" for none; a URL stays itself."""
    if not name or name.startswith(("http://", "https://")):
        return name
    return default_storage.url(name)

"""Find where media files are used: in stages, and as images of nodes.

Nothing is stored about uses: they are read from the texts, so they are never out of
date. Stages that cannot name a file of ours are not read.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from content.media import files, references
from content.media.references import Use, is_external
from content.models import LessonStage, Node


@dataclass(frozen=True, slots=True)
class Place:
    """A stage or, without ``stage_id``, a node that uses a file.

    ``stage_id`` is the public id of the stage; the page of its lesson opens its card by
    it.
    """

    node_pk: int
    title: str
    is_trashed: bool
    stage_id: str = ""
    stage_title: str = ""


def places() -> Mapping[str, list[Place]]:
    """Return the places that use each path of a `MediaFile`, in tree order.

    Two queries.
    """
    found: dict[str, list[Place]] = defaultdict(list)
    nodes = Node.objects.exclude(image="").order_by("tree_id", "lft")
    for pk, title, trashed_at, image in nodes.values_list(
        "pk", "title", "trashed_at", "image"
    ):
        found[image].append(Place(pk, title, trashed_at is not None))
    stages = stages_with_media().order_by(
        "lesson__tree_id", "lesson__lft", "position", "pk"
    )
    for type_name, config, *values, trashed_at in stages.values_list(
        *("type", "config", "lesson_id", "lesson__title", "public_id", "title"),
        "lesson__trashed_at",
    ):
        pk, lesson, stage_id, title = values
        place = Place(pk, lesson, trashed_at is not None, stage_id, title)
        for path in paths_of(type_name, config):
            found[path].append(place)
    return found


def stages_with_media(*, of: str = "") -> "QuerySet[LessonStage]":
    """Return the stages that may use a file of ours.

    Args:
        of: only those that may use the file with this path.
    """
    stages = LessonStage.objects.annotate(text=Cast("config", TextField()))
    if of:
        # A path in an address may have escapes, its suffix has none.
        name = of.rpartition("/")[2].rpartition(".")[2]
        return stages.filter(text__contains=f".{name}")
    return stages.filter(Q(type="Video") | Q(text__contains="/media/"))


def paths_of(type_name: str, config: object) -> set[str]:
    """Return the paths of our files in a config."""
    found = set()
    for reference in references.of_config(type_name, config):
        path = path_of(reference)
        if path:
            found.add(path)
    return found


def path_of(reference: references.Reference) -> str:
    """Return the path of the `MediaFile` that a reference names; "" for other files."""
    path = files.public_path(reference.address)
    if path is not None:
        return path
    is_stored = reference.use is Use.VIDEO and not reference.address.startswith("/")
    return reference.address if is_stored and not is_external(reference.address) else ""

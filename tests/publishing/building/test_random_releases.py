"""Random sequences of edits, each published: what must hold after every sequence.

After every edit all plans are built, and the releases are read as an app reads them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
import time_machine
from django.db import transaction
from hypothesis import (
    HealthCheck,
    given,
    settings as hypothesis_settings,
    strategies as st,
)

from content import services
from content.kinds import Kind, child_kind
from content.models import LessonStage, Node
from plans.models import AcademicPlan, PlanOverride, PlanSubject
from plans.services import add_subject, set_override
from publishing import staleness
from publishing.building import builds
from publishing.models import PublishingSettings, SyncStatus
from tests.factories.content import (
    make_subject,
    move_node,
    quiz,
    restore_node,
    trash_node,
)
from tests.publishing import release

pytestmark = pytest.mark.django_db

TEXT = {"format": "markdown", "body": "Other words."}
START = 1_800_000_000

Pick = Callable[[Any], Any]
"""Chooses one of a query's rows; None when there is none."""


def nodes(*kinds: Kind) -> Any:
    return Node.objects.filter(kind__in=[kind.value for kind in kinds]).order_by("pk")


BELOW = (Kind.TRACK, Kind.UNIT, Kind.TOPIC, Kind.LESSON)
PARENTS = (Kind.SUBJECT, Kind.TRACK, Kind.UNIT, Kind.TOPIC)
OVERRIDES = [
    ("hide", ""),
    ("set_free", ""),
    ("set_sold_separately", "ITEM-A"),
    ("set_access_level", "public"),
    ("set_access_level", "authenticated"),
    ("set_linear", "true"),
    ("rename", "Another name"),
]


# --- Edits; each does what is possible in the current tree ------------------


def create(pick: Pick) -> None:
    parent = pick(nodes(*PARENTS))
    kind = child_kind(Kind(parent.kind))
    if not parent.get_ancestors(include_self=True).exclude(trashed_at=None).exists():
        services.create_node(kind=kind, parent=parent, title="New", is_published=True)


def rename(pick: Pick) -> None:
    node = pick(nodes(*Kind))
    node.title += "!"
    node.save()


def set_fields(pick: Pick) -> None:
    node = pick(nodes(*Kind))
    change = pick(
        [
            {"is_published": not node.is_published},
            {"is_published": True, "is_public": not node.is_public},
            {"is_free_preview": not node.is_free_preview},
            {"required_item": "" if node.required_item else "ITEM-B"},
            {"is_linear": not node.is_linear},
            {"description": "What it is about"},
        ]
    )
    Node.objects.filter(pk=node.pk).update(**change)


def publish_all(_pick: Pick) -> None:
    Node.objects.update(is_published=True)


def trash(pick: Pick) -> None:
    trash_node(node=pick(nodes(*BELOW)))


def restore(pick: Pick) -> None:
    if node := pick(Node.objects.exclude(trashed_at=None)):
        restore_node(node=node)


def delete(pick: Pick) -> None:
    services.delete_node(node=pick(nodes(Kind.LESSON, Kind.TOPIC)))


def move(pick: Pick) -> None:
    node = pick(nodes(*BELOW))
    if siblings := nodes(Kind(node.kind)).exclude(pk=node.pk):
        target = pick(siblings.filter(trashed_at=None, parent__trashed_at=None))
        if target and not _is_in_trash(target):
            move_node(node=node, target=target, position="left")


def _is_in_trash(node: Node) -> bool:
    return node.get_ancestors(include_self=True).exclude(trashed_at=None).exists()


def reverse(pick: Pick) -> None:
    parent = pick(nodes(*PARENTS))
    children = list(parent.get_children())
    services.move_nodes(nodes=children[::-1], target=parent, position="first-child")


def add_stage(pick: Pick) -> None:
    lesson = pick(nodes(Kind.LESSON))
    LessonStage.objects.create(lesson=lesson, type="Text", title="T", config=TEXT)


def add_quiz(pick: Pick) -> None:
    config = quiz(*pick([["ITEM-A"], ["ITEM-B", "ITEM-C"]]))
    LessonStage.objects.bulk_create(  # also an item that another stage has
        [
            LessonStage(
                lesson=pick(nodes(Kind.LESSON)), type="Quiz", title="Q", config=config
            )
        ]
    )


def replace_question(pick: Pick) -> None:
    if stage := pick(LessonStage.objects.filter(type="Quiz").order_by("pk")):
        stages = LessonStage.objects.filter(pk=stage.pk)
        stages.update(config=quiz(pick(["ITEM-D", "ITEM-A"])))


def edit_stage(pick: Pick) -> None:
    if stage := pick(LessonStage.objects.order_by("pk")):
        stage.title += "!"
        stage.save(update_fields=["title"])


def move_stage(pick: Pick) -> None:
    if stage := pick(LessonStage.objects.order_by("pk")):
        stage.lesson = pick(nodes(Kind.LESSON))
        stage.is_compared_with_others = True
        stage.save()


def delete_stage(pick: Pick) -> None:
    if stage := pick(LessonStage.objects.order_by("pk")):
        stage.delete()


def override(pick: Pick) -> None:
    plan = pick(AcademicPlan.objects.order_by("pk"))
    roots = list(plan.plan_subjects.values_list("subject_id", flat=True))
    inside = nodes(*Kind).filter(pk__in=roots) | nodes(*Kind).filter(
        subject_id__in=roots
    )
    if target := pick(inside):
        action, value = pick(OVERRIDES)
        set_override(plan=plan, target=target, action=action, value=value)


def drop_override(pick: Pick) -> None:
    if override := pick(PlanOverride.objects.order_by("pk")):
        override.delete()


def give_subject(pick: Pick) -> None:
    add_subject(
        plan=pick(AcademicPlan.objects.order_by("pk")),
        subject=pick(nodes(Kind.SUBJECT)),
    )


def take_subject(pick: Pick) -> None:
    if row := pick(PlanSubject.objects.order_by("pk")):
        row.delete()


def swap_subjects(pick: Pick) -> None:
    if row := pick(PlanSubject.objects.order_by("pk")):
        row.position = 1 - row.position
        row.save()


def rename_plan(pick: Pick) -> None:
    AcademicPlan.objects.filter(pk=pick(AcademicPlan.objects.order_by("pk")).pk).update(
        title="Renamed"
    )


def split_search(_pick: Pick) -> None:
    current = PublishingSettings.get_solo()
    current.search_shard_threshold = 501 - current.search_shard_threshold
    current.save()


EDITS = [
    edit_stage,
    add_stage,
    add_quiz,
    replace_question,
    move_stage,
    delete_stage,
    rename,
    set_fields,
    publish_all,
    create,
    move,
    reverse,
    trash,
    restore,
    delete,
    override,
    drop_override,
    give_subject,
    take_subject,
    swap_subjects,
    rename_plan,
    split_search,
]


# --- What readers see, over time --------------------------------------------


@dataclass
class Reader:
    """Reads every release after every edit, and remembers what must not change."""

    clock: time_machine.Traveller
    files: dict[str, bytes] = field(default_factory=dict)
    seen: dict[str, bytes] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    lesson_of: dict[tuple[str, int], str] = field(default_factory=dict)
    bit_of: dict[tuple[str, str], int] = field(default_factory=dict)

    def publish_and_look(self) -> None:
        self.clock.shift(1)
        self._publish()
        files = release.everything()
        for plan in AcademicPlan.objects.all():
            release.walk(plan.public_id)
        self._versions_only_grow(files)
        self._bits_stay(files)
        self.files = files

    def nothing_more_to_do(self) -> None:
        """Building again without changes writes nothing."""
        assert not staleness.pending()
        inodes = _inodes()
        AcademicPlan.mark_changed(AcademicPlan.objects.values_list("pk", flat=True))
        for plan in AcademicPlan.objects.order_by("pk"):
            entry = builds.publish_plan(plan.pk)
            assert entry is not None
            assert (entry.files_written, entry.files_removed) == (0, 0)
        assert release.everything() == self.files
        assert _inodes() == inodes

    def _publish(self) -> None:
        # A lesson that opens or closes in one plan makes the other plans pending, once.
        for _round in range(3):
            for pk in staleness.pending():
                entry = builds.publish_plan(pk)
                assert entry is not None
                assert entry.status == SyncStatus.LOCAL_ONLY, entry.error
        assert not staleness.pending()

    def _versions_only_grow(self, files: dict[str, bytes]) -> None:
        for path, data in files.items():
            version = orjson.loads(data)["version"]
            # A lesson that was removed for a while may return unchanged.
            if self.seen.get(path) == data:
                assert version == self.versions[path]
            else:
                assert version > self.versions.get(path, 0), path
            self.versions[path] = version
            self.seen[path] = data

    def _bits_stay(self, files: dict[str, bytes]) -> None:
        for path in files:
            if not path.endswith("_b.json"):
                continue
            bitmap = orjson.loads(files[path])
            subject = bitmap["subject_id"]
            for lesson, mapping in bitmap["mappings"].items():
                bit = mapping["bit_index"]
                assert self.lesson_of.setdefault((subject, bit), lesson) == lesson
                if self.bit_of.setdefault((subject, lesson), bit) != bit:
                    # It was in another subject meanwhile, so it has a new bit.
                    assert bit > self.bit_of[subject, lesson]
                    self.bit_of[subject, lesson] = bit


def _inodes() -> dict[str, tuple[int, int]]:
    """The inode and modification time of each path."""
    found = {}
    for path in release.everything():
        stat = (release.root() / path).stat()
        found[path] = (stat.st_ino, stat.st_mtime_ns)
    return found


@contextmanager
def fresh_school(folder: Path, settings: Any) -> Iterator[Reader]:
    """Publish two subjects and two plans that share one; roll back afterwards."""
    settings.CONTENT_ROOT = folder
    with transaction.atomic(), time_machine.travel(START, tick=False) as clock:
        for name in ("MATH", "PHYS"):
            make_subject(name, units=2, lessons=1)
        for name, subjects in (("A", ["MATH", "PHYS"]), ("B", ["MATH"])):
            plan = AcademicPlan.objects.create(
                public_id=f"PLAN-{name}", title=name, is_published=True
            )
            for subject in subjects:
                found = Node.objects.get(public_id=f"SUBJ-{subject}")
                add_subject(plan=plan, subject=found)
        reader = Reader(clock)
        reader.publish_and_look()
        yield reader
        transaction.set_rollback(True)


def picker(numbers: Iterator[int]) -> Pick:
    def pick(choices: Any) -> Any:
        found = list(choices)
        return found[next(numbers) % len(found)] if found else None

    return pick


def test_no_history_of_edits_breaks_a_release(tmp_path, settings):
    folders = (tmp_path / str(number) for number in range(10_000))
    edit = st.tuples(st.sampled_from(EDITS), st.integers(0, 2**16))

    @hypothesis_settings(
        deadline=None,
        max_examples=8,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(edit, min_size=3, max_size=8))
    def check(history):
        with fresh_school(next(folders), settings) as reader:
            for change, seed in history:
                change(picker(_digits(seed)))
                reader.publish_and_look()
            reader.nothing_more_to_do()

    check()


def _digits(seed: int) -> Iterator[int]:
    """Digits for choices, from one integer that shrinks well."""
    while True:
        yield seed % 17
        seed = seed // 17 + seed % 17


@pytest.mark.parametrize("change", EDITS, ids=lambda change: change.__name__)
def test_each_kind_of_edit_leaves_whole_releases(change, tmp_path, settings):
    with fresh_school(tmp_path / "school", settings) as reader:
        change(picker(_digits(1)))
        reader.publish_and_look()


def test_a_plan_may_lose_its_last_subject_and_gain_one(tmp_path, settings):
    with fresh_school(tmp_path / "school", settings) as reader:
        AcademicPlan.objects.get(title="B").subjects.clear()
        reader.publish_and_look()
        index = release.read("plans/PLAN-B/search_index.json")
        assert (index["items"], index["total_items"]) == ([], 0)
        reader.nothing_more_to_do()
        plan = AcademicPlan.objects.get(title="B")
        add_subject(plan=plan, subject=Node.objects.get(public_id="SUBJ-PHYS"))
        reader.publish_and_look()

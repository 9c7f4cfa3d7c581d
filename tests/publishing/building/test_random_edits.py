"""After any sequence of edits, the release equals that of a full build.

The edits are drawn with fixed seeds, so every run makes the same ones.
"""

import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone

from content import services
from content.kinds import Kind
from content.models import LessonStage, Node, SubjectState
from core.errors import MemoraError
from plans.models import AcademicPlan, PlanOverride, PlanSubject
from plans.services import add_subject, set_override
from publishing import staleness
from publishing.building import releases, rollback, snapshot, sweep
from publishing.models import PlanLesson, Publication, PublishingSettings
from publishing.storage import cleanup, open_lessons
from tests.factories.content import (
    fresh,
    make_stage,
    move_node,
    plant,
    quiz,
    restore_node,
    trash_node,
)
from tests.publishing import release

pytestmark = pytest.mark.django_db

SEEDS = range(8)
ROUNDS = 8
"""Each round makes a few edits and publishes all pending plans."""

PLANS = {"PLAN-A": ("MATH", "PHYS"), "PLAN-B": ("MATH", "PHYS", "CHEM")}


class NothingThereError(Exception):
    """No row exists for this edit."""


class Draw:
    """The random choices of one seed."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.written = 0

    def one_of(self, rows: Iterable[Any]) -> Any:
        """Choose one of a query's rows, ordered by primary key.

        Raises:
            NothingThereError: there is none.
        """
        found = list(rows.order_by("pk") if isinstance(rows, QuerySet) else rows)
        if not found:
            raise NothingThereError
        return self.dice.choice(found)

    def node(self, *kinds: str) -> Node:
        """Choose a node that is not in the trash; of any kind when none is given."""
        nodes = Node.objects.untrashed()
        return self.one_of(nodes.filter(kind__in=kinds) if kinds else nodes)

    def stage(self) -> LessonStage:
        return self.one_of(LessonStage.objects.all())

    def plan(self) -> AcademicPlan:
        return self.one_of(AcademicPlan.objects.all())

    def words(self) -> str:
        self.written += 1
        return f"Words {self.written}"


# --- Edits ----------------------------------------------------------------------------


def edit_a_stage(draw: Draw) -> None:
    stage = draw.stage()
    stage.title = draw.words()
    stage.save()


def save_a_stage_unchanged(draw: Draw) -> None:
    draw.stage().save()


def add_a_stage(draw: Draw) -> None:
    make_stage(draw.node("lesson"), title=draw.words())


def add_a_quiz(draw: Draw) -> None:
    items = [f"ITEM-{draw.dice.randint(0, 99)}" for _item in range(2)]
    make_stage(draw.node("lesson"), type="Quiz", config=quiz(*sorted(set(items))))


def replace_a_question(draw: Draw) -> None:
    stage = draw.one_of(LessonStage.objects.filter(type="Quiz"))
    stage.config = quiz(f"ITEM-{draw.dice.randint(0, 99)}")
    stage.save()


def move_a_stage(draw: Draw) -> None:
    stage = draw.stage()
    stage.lesson = draw.node("lesson")
    stage.save()


def delete_a_stage(draw: Draw) -> None:
    draw.stage().delete()


def write_words(draw: Draw) -> None:
    node = draw.node()
    setattr(node, draw.dice.choice(["title", "description"]), draw.words())
    node.save()


def change_access(draw: Draw) -> None:
    node = draw.node()
    name = draw.dice.choice(["is_public", "is_free_preview"])
    setattr(node, name, not getattr(node, name))
    node.save()


def publish_or_unpublish_a_node(draw: Draw) -> None:
    node = draw.one_of(Node.objects.all())
    node.is_published = draw.dice.random() < 0.7
    node.save()


def move_a_node(draw: Draw) -> None:
    kind, parent = draw.dice.choice(
        [("lesson", "topic"), ("topic", "unit"), ("unit", "track")]
    )
    move_node(node=draw.node(kind), target=draw.node(parent), position="first-child")


def edit_a_lesson_while_it_lies_elsewhere(draw: Draw) -> None:
    stage = draw.stage()
    lesson, topic = stage.lesson, stage.lesson.parent
    moved = move_node(node=lesson, target=draw.node("topic"), position="last-child")
    stage.title = draw.words()
    stage.save()
    move_node(node=moved, target=fresh(topic), position="last-child")


def create_a_lesson(draw: Draw) -> None:
    services.create_node(
        kind=Kind.LESSON,
        parent=draw.node("topic"),
        title=draw.words(),
        is_published=True,
    )


def delete_a_node(draw: Draw) -> None:
    if Node.objects.filter(kind="lesson").count() > 6:
        services.delete_node(node=draw.node("lesson", "topic"))


def trash_a_node(draw: Draw) -> None:
    trash_node(node=draw.node("lesson", "topic", "unit"))


def restore_a_node(draw: Draw) -> None:
    restore_node(node=draw.one_of(Node.objects.exclude(trashed_at=None)))


def make_an_override(draw: Draw) -> None:
    action, value = draw.dice.choice(
        [
            ("hide", ""),
            ("set_free", ""),
            ("set_access_level", "public"),
            ("set_sold_separately", "item-1"),
            ("set_linear", "true"),
            ("rename", draw.words()),
        ]
    )
    set_override(plan=draw.plan(), target=draw.node(), action=action, value=value)


def remove_an_override(draw: Draw) -> None:
    draw.one_of(PlanOverride.objects.all()).delete()


def reorder_subjects(draw: Draw) -> None:
    row = draw.one_of(PlanSubject.objects.all())
    row.position = draw.dice.randrange(5)
    row.save()


def publish_or_unpublish_a_plan(draw: Draw) -> None:
    plan = draw.plan()
    plan.is_published = draw.dice.random() < 0.7
    plan.save()


def roll_a_plan_back(draw: Draw) -> None:
    plan_id = draw.plan().public_id
    numbers = [
        found.number
        for found in rollback.kept_releases(plan_id)
        if not found.is_current
    ]
    rollback.make_current(plan_id, draw.one_of(numbers))


def release_a_plan(draw: Draw) -> None:
    rollback.release(draw.plan().pk)


EDITS: list[Callable[[Draw], None]] = [
    *[edit_a_stage] * 2,
    save_a_stage_unchanged,
    add_a_stage,
    *[add_a_quiz, replace_a_question] * 2,
    move_a_stage,
    delete_a_stage,
    *[write_words] * 2,
    change_access,
    publish_or_unpublish_a_node,
    move_a_node,
    *[edit_a_lesson_while_it_lies_elsewhere] * 2,
    create_a_lesson,
    delete_a_node,
    trash_a_node,
    restore_a_node,
    make_an_override,
    remove_an_override,
    reorder_subjects,
    publish_or_unpublish_a_plan,
    roll_a_plan_back,
    release_a_plan,
]


# --- What must hold after each publish ------------------------------------------------


@pytest.fixture
def school(db) -> None:
    """Two plans that share subjects, one of them with many revisions."""
    plant("MATH", "PHYS", "CHEM")
    SubjectState.objects.filter(subject__public_id="SUBJ-MATH").update(
        revision=1000, tree_revision=1000
    )
    for public_id, names in PLANS.items():
        plan = AcademicPlan.objects.create(
            public_id=public_id, title=public_id, is_published=True
        )
        for name in names:
            add_subject(plan=plan, subject=Node.objects.get(public_id=f"SUBJ-{name}"))


def publish_all() -> None:
    """Build until nothing is pending: a plan may open or gate another one's lessons."""
    for _sweep in range(5):
        sweep.process_pending(limit=10)
        if not staleness.pending():
            return
    raise AssertionError("the plans do not settle")


def check(plan: AcademicPlan) -> None:
    """The plan's release is complete and equals a full build."""
    release.walk(plan.public_id)
    full = releases.make(snapshot.take(plan.pk, full=True), now=timezone.now())
    assert sorted(full.to_write) == []
    assert set(full.gone) == set()
    plan_lessons = PlanLesson.objects.filter(publication__plan=plan)
    assert dict(plan_lessons.values_list("lesson_id", "is_open")) == full.plan_lessons


def lesson_files() -> dict[str, tuple[dict[str, Any], bytes]]:
    """The content and the bytes of each lesson's file, by id."""
    found = {}
    for lesson_id in release.lessons():
        path = f"lessons/{lesson_id}.json"
        content = release.read(path)
        del content["version"], content["generated_at"]
        found[lesson_id] = content, (release.root() / path).read_bytes()
    return found


def require_nothing_rewritten(
    before: dict[str, tuple[dict[str, Any], bytes]],
    after: dict[str, tuple[dict[str, Any], bytes]],
) -> None:
    """A lesson with unchanged content has an unchanged file."""
    for lesson_id in before.keys() & after.keys():
        content, data = before[lesson_id]
        if after[lesson_id][0] == content:
            assert after[lesson_id][1] == data, lesson_id


@pytest.mark.parametrize("seed", SEEDS)
def test_a_release_after_random_edits_is_what_a_full_build_makes(school, seed):
    current = PublishingSettings.get_solo()
    current.search_shard_threshold = 3 if seed % 2 else 500
    current.save()
    draw = Draw(seed)
    publish_all()
    for _round in range(ROUNDS):
        before = lesson_files()
        for edit in draw.dice.choices(EDITS, k=draw.dice.randint(1, 4)):
            with suppress(ValidationError, MemoraError, NothingThereError):
                edit(draw)
        if staleness.to_withdraw():
            before = {}  # files removed with a plan may return with another version
        publish_all()
        require_nothing_rewritten(before, lesson_files())
        released = Publication.objects.filter(
            plan__is_published=True, rolled_back_at=None
        )
        for publication in released.select_related("plan"):
            check(publication.plan)
        cleanup.collect()
        assert open_lessons.opened() == open_lessons.offered_openly()

"""Every write makes exactly the plans it affects pending.

The world: MATH is in the plans A and B, PHYS in B and C, LONE in none; D is empty.
All are published and up to date. The rules: docs/architecture.md, "Edits".
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models, transaction
from django.forms import FileField
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from content import services
from content.curriculum import export_curriculum, import_curriculum
from content.kinds import Kind
from content.models import Lesson, LessonStage, Node, SubjectState
from plans.models import AcademicPlan, Grade, PlanOverride, PlanSubject, Season, Stream
from plans.services import add_subject, set_override
from players.models import User
from publishing import queue, receivers, staleness
from publishing.building import builds, snapshot, sweep
from publishing.models import Publication, PublishingSettings
from tests.factories.content import move_node, plant, restore_node, trash_node
from tests.publishing.conftest import node

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("worker_starts")]

TEXT = {"format": "markdown", "body": "Other words."}
TREE = reverse("admin:content_node_changelist")
EVERY = {"A", "B", "C", "D"}


@dataclass(frozen=True)
class Branch:
    """One subject's parts, read again each time: a write may have changed them."""

    name: str

    def __getattr__(self, part: str) -> Node:
        ids = {
            "subject": f"SUBJ-{self.name}",
            "track": f"TRK-{self.name}",
            "unit": f"UNIT-{self.name}-0",
            "topic": f"TOP-{self.name}-0",
            "other_topic": f"TOP-{self.name}-1",
            "lesson": f"LES-{self.name}-0-0",
            "next_lesson": f"LES-{self.name}-0-1",
            "far_lesson": f"LES-{self.name}-1-0",
        }
        return node(ids[part])

    @property
    def stage(self) -> LessonStage:
        return LessonStage.objects.get(public_id=f"STG-{self.name}-0-0")

    @property
    def lessons(self) -> Any:
        return Lesson.objects.filter(subject=self.subject)

    @property
    def stages(self) -> Any:
        return LessonStage.objects.filter(lesson__subject=self.subject)


MATH, PHYS, LONE = Branch("MATH"), Branch("PHYS"), Branch("LONE")


def plan(letter: str) -> AcademicPlan:
    return AcademicPlan.objects.get(public_id=f"PLAN-{letter}")


@pytest.fixture(autouse=True)
def world(db) -> None:
    plant("MATH", "PHYS", "LONE")
    season, grade, stream = (
        model.objects.create(title=title)
        for model, title in ((Season, "2026"), (Grade, "Five"), (Stream, "General"))
    )
    labels = {"season": season, "grade": grade, "stream": stream}
    made = {
        letter: AcademicPlan(
            public_id=f"PLAN-{letter}",
            title=letter,
            is_published=True,
            **(labels if letter in "AC" else {}),
        )
        for letter in sorted(EVERY)
    }
    models.QuerySet(AcademicPlan).bulk_create(made.values())
    plans = {row.title: row for row in AcademicPlan.objects.all()}
    math, phys = MATH.subject, PHYS.subject
    models.QuerySet(PlanSubject).bulk_create(
        PlanSubject(plan=plans[letter], subject=subject, position=position)
        for letter, subject, position in (
            ("A", math, 0),
            ("B", math, 0),
            ("B", phys, 1),
            ("C", phys, 0),
        )
    )
    models.QuerySet(PlanOverride).bulk_create(
        [PlanOverride(plan=plans["A"], target=MATH.next_lesson, action="set_free")]
    )
    settle()


def settle() -> None:
    """Act as if every plan had just been built from the current rows."""
    differing = staleness.pending()
    Publication.objects.filter(plan__in=differing).delete()
    Publication.objects.bulk_create(
        Publication(
            plan=row, plan_public_id=row.public_id, built_from=differing[row.pk]
        )
        for row in AcademicPlan.objects.filter(pk__in=differing)
    )
    # The test's transaction never commits, so drop the callbacks of earlier writes.
    connection.run_on_commit.clear()


def pending() -> set[str]:
    return titles(staleness.pending())


def titles(plan_pks: Any) -> set[str]:
    found = AcademicPlan.objects.filter(pk__in=list(plan_pks))
    return {public_id[-1] for public_id in found.values_list("public_id", flat=True)}


Write = Callable[[], Any]


def save(row: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    row.save()


def bulk(rows: Any, *fields: str, **values: Any) -> None:
    """`bulk_update` of these rows through their own manager."""
    found = list(rows)
    for row in found:
        for name, value in values.items():
            setattr(row, name, value)
    type(found[0]).objects.bulk_update(found, fields or list(values))


# --- Writes through the admin -----------------------------------------------


def admin() -> Client:
    browser = Client()
    browser.force_login(
        User.objects.filter(is_superuser=True).first()
        or User.objects.create_superuser("root@example.com", "root-password-1")
    )
    return browser


def act(what: str, *nodes: Node, **extra: Any) -> None:
    """Apply an action of the tree page to the selected nodes."""
    data = {"do": what, "nodes": [row.pk for row in nodes], **extra}
    response = admin().post(reverse("admin:content_node_do"), data)
    assert response.status_code == 200, response.content


def delete_chosen(*nodes: Node) -> None:
    """Delete the selected nodes on the tree page."""
    chosen = {"action": "delete_selected", "_selected_action": [n.pk for n in nodes]}
    response = admin().post(TREE, {**chosen, "post": "yes"})
    assert response.status_code == 302, response.content


def drag(moved: Node, onto: Node, position: str) -> None:
    """Drop a node on the tree page, and confirm if the page asks."""
    move = {"nodes": [moved.pk], "target": onto.pk, "position": position}
    response = admin().post(
        reverse("admin:content_node_move"), {**move, "confirmed": "yes"}
    )
    assert response.status_code == 200, response.content
    assert "question" not in response.json()


def submit(page: str, row: Any = None, **changed: Any) -> None:
    """Fill in an admin form as it is shown, with these fields changed, and save it."""
    args = [] if row is None else [row.pk]
    query = changed.pop("query", "")
    url = reverse(f"admin:{page}", args=args) + query
    browser = admin()
    page_shown = browser.get(url)
    assert page_shown.status_code == 200, page_shown
    context = page_shown.context
    forms = [context["adminform"].form]
    for inline in context["inline_admin_formsets"]:
        forms += [inline.formset.management_form, *inline.formset.forms]
    data = {
        form.add_prefix(name): form[name].value()
        for form in forms
        for name, field in form.fields.items()
        if not isinstance(field, FileField)
    }
    form_data = {key: v for key, v in data.items() if v is not None and v is not False}
    response = browser.post(url, form_data | changed)
    assert response.status_code == 302, response.context["errors"]


# --- The writes -------------------------------------------------------------


def imported(
    branch: Branch, change: Callable[[dict[str, Any]], None], *, dry_run: bool = False
) -> None:
    """Edit the subject's exported file and import it."""
    document = json.loads(export_curriculum(branch.subject.public_id))
    change(document["subject"])
    import_curriculum(json.dumps(document).encode(), dry_run=dry_run)


def rename_in_file(subject: dict[str, Any]) -> None:
    subject["tracks"][0]["title"] = "From the file"


def sell_in_file(subject: dict[str, Any]) -> None:
    subject["tracks"][0]["required_item"] = "BOOK-1"


def reword_in_file(subject: dict[str, Any]) -> None:
    lesson = subject["tracks"][0]["units"][0]["topics"][0]["lessons"][0]
    lesson["stages"][0]["config"] = TEXT


def add_in_file(subject: dict[str, Any]) -> None:
    lessons = subject["tracks"][0]["units"][0]["topics"][0]["lessons"]
    lessons.append({"title": "One more", "stages": []})


def reverse_in_file(subject: dict[str, Any]) -> None:
    subject["tracks"][0]["units"].reverse()


def restore_by_file(branch: Branch) -> None:
    file = export_curriculum(branch.subject.public_id)
    trash_node(node=branch.unit)
    settle()
    import_curriculum(file)


def restored(branch: Branch, restore: Callable[[Node], Any]) -> None:
    trash_node(node=branch.unit)
    settle()
    restore(branch.unit)


def published_again(branch: Branch, publish: Callable[[Node], Any]) -> None:
    Node.objects.filter(pk=branch.unit.pk).update(is_published=False)
    settle()
    publish(branch.unit)


def sell(node: Node) -> None:
    """Save with ``update_fields``."""
    node.required_item = "BOOK-1"
    node.save(update_fields=["title", "required_item"])


def new_node(branch: Branch) -> Node:
    """An unsaved last track of the subject."""
    root = branch.subject
    return Node(
        public_id="TRK-NEW",
        kind=Kind.TRACK.value,
        parent=root,
        subject=root,
        title="New",
        tree_id=root.tree_id,
        lft=root.rght,
        rght=root.rght + 1,
        level=1,
    )


def new_stage(branch: Branch, **fields: Any) -> LessonStage:
    lesson = branch.next_lesson
    return LessonStage(lesson=lesson, type="Text", title="T", config=TEXT, **fields)


def swap_positions(branch: Branch) -> None:
    second = new_stage(branch, position=1)
    second.lesson = branch.lesson
    second.save()
    settle()
    bulk([branch.stage], position=2)


CONTENT: dict[str, Callable[[Branch], Any]] = {
    # Nodes, one by one.
    "saving a lesson": lambda b: save(b.lesson, title="Other"),
    "saving named fields": lambda b: b.unit.save(update_fields=["is_linear"]),
    "saving the subject": lambda b: save(b.subject, color_code="#112233"),
    "selling a unit": lambda b: save(b.unit, required_item="BOOK-1"),
    "saving named access": lambda b: sell(b.unit),
    "saving through a proxy": lambda b: save(b.lessons[0], base_xp=20),
    "creating a lesson": lambda b: services.create_node(
        kind=Kind.LESSON, parent=b.topic, title="New"
    ),
    "creating a draft": lambda b: services.create_node(
        kind=Kind.UNIT, parent=b.track, title="New", is_published=False
    ),
    "deleting a lesson": lambda b: services.delete_node(node=b.lesson),
    "deleting a branch": lambda b: services.delete_node(node=b.unit),
    "deleting an instance": lambda b: b.lesson.delete(),
    "trashing": lambda b: trash_node(node=b.unit),
    "restoring": lambda b: restored(b, lambda n: restore_node(node=n)),
    # Moves.
    "moving within its parent": lambda b: move_node(
        node=b.next_lesson, target=b.lesson, position="left"
    ),
    "moving to another parent": lambda b: move_node(
        node=b.lesson, target=b.other_topic, position="last-child"
    ),
    "reordering children": lambda b: services.move_nodes(
        nodes=[b.next_lesson, b.lesson], target=b.topic, position="first-child"
    ),
    # Many nodes at once.
    "updating": lambda b: b.lessons.update(is_free_preview=True),
    "updating one": lambda b: Node.objects.filter(pk=b.lesson.pk).update(title="X"),
    "updating the subject": lambda b: Node.objects.filter(pk=b.subject.pk).update(
        is_published=False
    ),
    "updating out of the query": lambda b: b.lessons.filter(is_published=True).update(
        is_published=False
    ),
    "updating children": lambda b: b.topic.children.update(description="X"),
    "bulk-updating": lambda b: bulk(b.lessons, title="X"),
    "bulk-updating access": lambda b: bulk(b.lessons, is_public=True),
    "bulk-creating": lambda b: Node.objects.bulk_create([new_node(b)]),
    "deleting a query": lambda b: b.lessons.filter(parent=b.topic).delete(),
    # The admin.
    "the publish action": lambda b: published_again(b, lambda n: act("publish", n)),
    "the publish-with-contents action": lambda b: published_again(
        b, lambda n: act("publish_inside", n)
    ),
    "the draft action": lambda b: act("unpublish", b.lesson, b.far_lesson),
    "the trash action": lambda b: act("trash", b.unit),
    "the restore action": lambda b: restored(b, lambda n: act("restore", n)),
    "the delete action": lambda b: delete_chosen(b.unit),
    "the drag handler": lambda b: drag(b.next_lesson, b.lesson, "left"),
    "the drag handler to another parent": lambda b: drag(
        b.lesson, b.other_topic, "first-child"
    ),
    "the node's form": lambda b: submit("content_node_change", b.unit, title="X"),
    "access in the node's form": lambda b: submit(
        "content_node_change", b.unit, is_free_preview="on"
    ),
    "the tree page's free preview": lambda b: act("free", b.lesson),
    "the stages' form": lambda b: submit(
        "content_node_change", b.lesson, **{"stages-0-title": "X"}
    ),
    "the form that adds": lambda b: submit(
        "content_node_add", query=f"?parent={b.topic.pk}", title="X"
    ),
    # Stages.
    "adding a stage": lambda b: new_stage(b).save(),
    "adding a stage to the lesson": lambda b: b.lesson.stages.create(
        type="Text", title="T", config=TEXT
    ),
    "saving a stage": lambda b: save(b.stage, config=TEXT),
    "saving a stage's named fields": lambda b: b.stage.save(update_fields=["title"]),
    "deleting a stage": lambda b: b.stage.delete(),
    "reordering stages": swap_positions,
    "moving a stage to another lesson": lambda b: save(b.stage, lesson=b.far_lesson),
    "giving a stage to another lesson": lambda b: b.far_lesson.stages.add(b.stage),
    "updating stages": lambda b: b.stages.update(weight=7),
    "updating a lesson's stages": lambda b: b.lesson.stages.update(weight=7),
    "bulk-updating stages": lambda b: bulk(b.stages, weight=7),
    "bulk-creating stages": lambda b: LessonStage.objects.bulk_create([new_stage(b)]),
    "deleting stages in bulk": lambda b: b.stages.delete(),
    # Curriculum files.
    "importing another title": lambda b: imported(b, rename_in_file),
    "importing other access": lambda b: imported(b, sell_in_file),
    "importing other words": lambda b: imported(b, reword_in_file),
    "importing one more lesson": lambda b: imported(b, add_in_file),
    "importing another order": lambda b: imported(b, reverse_in_file),
    "importing what was in the trash": restore_by_file,
}

IMMEDIATE_EDITS = {
    "deleting a lesson",
    "deleting a branch",
    "deleting an instance",
    "deleting a query",
    "the delete action",
    "updating",
    "selling a unit",
    "saving named access",
    "bulk-updating access",
    "access in the node's form",
    "the tree page's free preview",
    "importing other access",
}
"""Deletions and access changes: they are built at once, not with the next batch."""

ACROSS: dict[str, Write] = {
    "moving a lesson": lambda: move_node(
        node=MATH.lesson, target=PHYS.topic, position="last-child"
    ),
    "moving a branch": lambda: move_node(
        node=MATH.track, target=PHYS.track, position="left"
    ),
    "dragging": lambda: drag(MATH.unit, PHYS.track, "last-child"),
    "saving a stage elsewhere": lambda: save(MATH.stage, lesson=PHYS.lesson),
    "giving a stage away": lambda: PHYS.lesson.stages.add(MATH.stage),
    "updating stages elsewhere": lambda: MATH.stages.update(lesson=PHYS.lesson),
    "updating stages elsewhere by key": lambda: MATH.stages.update(
        lesson_id=PHYS.lesson.pk
    ),
    "bulk-updating stages elsewhere": lambda: bulk(MATH.stages, lesson=PHYS.lesson),
    "updating both": lambda: Lesson.objects.filter(
        subject__in=[MATH.subject, PHYS.subject]
    ).update(base_xp=1),
    "the draft action on both": lambda: act("unpublish", MATH.unit, PHYS.unit),
    "bulk-updating both": lambda: bulk([MATH.lesson, PHYS.lesson], title="X"),
}


def move_part(row: Any, letter: str) -> None:
    save(row, plan=plan(letter))


def first(model: Any, letter: str) -> Any:
    return model.objects.filter(plan__public_id=f"PLAN-{letter}").first()


def swap_subjects(letter: str) -> None:
    """Swap the plan's two subjects, as a drag on its page does."""
    rows = list(plan(letter).plan_subjects.order_by("position"))
    save(rows[0], position=1)
    save(rows[1], position=0)


def clear_overrides(letter: str) -> None:
    plan(letter).overrides.all().delete()


def say(plan: AcademicPlan, target: Node, **posted: str) -> None:
    """Post an override on the plan's page."""
    url = reverse("admin:plans_override", args=[plan.pk, target.pk])
    response = admin().post(url, posted)
    assert response.status_code == 302, response.content


def retitled(letter: str) -> PlanOverride:
    """Rename a unit in the plan, and publish that."""
    row = set_override(plan=plan(letter), target=MATH.unit, action="rename", value="X")
    settle()
    return row


def retitle_in_bulk(letter: str) -> None:
    PlanOverride.objects.filter(pk=retitled(letter).pk).update(value="Y")


PLANS: dict[str, tuple[Write, str]] = {
    # The plan's own fields.
    "saving a plan": (lambda: save(plan("A"), title="Other"), "A"),
    "saving named fields": (lambda: plan("A").save(update_fields=["title"]), "A"),
    "another season": (lambda: save(plan("A"), season=None), "A"),
    "updating plans": (
        lambda: AcademicPlan.objects.filter(title__in="AD").update(title="X"),
        "AD",
    ),
    "bulk-updating plans": (lambda: bulk([plan("A"), plan("D")], title="X"), "AD"),
    "the plan's form": (
        lambda: submit("plans_academicplan_change", plan("D"), title="X"),
        "D",
    ),
    "creating a plan": (
        lambda: AcademicPlan.objects.create(
            public_id="PLAN-E", title="E", is_published=True
        ),
        "E",
    ),
    "bulk-creating plans": (
        lambda: AcademicPlan.objects.bulk_create(
            [AcademicPlan(public_id="PLAN-E", title="E", is_published=True)]
        ),
        "E",
    ),
    # Its subjects.
    "adding a subject": (
        lambda: add_subject(plan=plan("D"), subject=LONE.subject),
        "D",
    ),
    "creating a plan subject": (
        lambda: plan("D").plan_subjects.create(subject=LONE.subject),
        "D",
    ),
    "adding many-to-many": (lambda: plan("D").subjects.add(LONE.subject), "D"),
    "adding from the subject's side": (lambda: LONE.subject.plans.add(plan("D")), "D"),
    "setting many-to-many": (
        lambda: plan("B").subjects.set([LONE.subject, PHYS.subject]),
        "B",
    ),
    "bulk-creating plan subjects": (
        lambda: PlanSubject.objects.bulk_create(
            [PlanSubject(plan=plan("D"), subject=LONE.subject)]
        ),
        "D",
    ),
    "removing a subject": (lambda: first(PlanSubject, "A").delete(), "A"),
    "removing many-to-many": (lambda: plan("B").subjects.remove(MATH.subject), "B"),
    "clearing many-to-many": (lambda: plan("B").subjects.clear(), "B"),
    "removing subjects in bulk": (
        lambda: PlanSubject.objects.filter(subject=PHYS.subject).delete(),
        "BC",
    ),
    "replacing a subject": (
        lambda: save(first(PlanSubject, "A"), subject=LONE.subject),
        "A",
    ),
    "reordering subjects": (lambda: swap_subjects("B"), "B"),
    "reordering subjects in bulk": (
        lambda: bulk(plan("B").plan_subjects.filter(position=0), position=9),
        "B",
    ),
    "reordering subjects on the page": (
        lambda: submit(
            "plans_academicplan_change",
            plan("B"),
            **{"plan_subjects-0-position": 2, "plan_subjects-1-position": 1},
        ),
        "B",
    ),
    "updating plan subjects": (
        lambda: PlanSubject.objects.filter(subject=MATH.subject).update(position=5),
        "AB",
    ),
    "moving a subject's row": (lambda: move_part(first(PlanSubject, "A"), "D"), "AD"),
    "giving a subject's row away": (
        lambda: plan("D").plan_subjects.add(first(PlanSubject, "A")),
        "AD",
    ),
    # Its overrides.
    "setting an override": (
        lambda: set_override(plan=plan("B"), target=MATH.unit, action="hide"),
        "B",
    ),
    "replacing an override": (
        lambda: set_override(plan=plan("A"), target=MATH.next_lesson, action="hide"),
        "A",
    ),
    "renaming for the plan": (
        lambda: set_override(
            plan=plan("B"), target=MATH.unit, action="rename", value="X"
        ),
        "B",
    ),
    "creating an override": (
        lambda: PlanOverride.objects.create(
            plan=plan("B"), target=MATH.unit, action="rename", value="X"
        ),
        "B",
    ),
    "bulk-creating overrides": (
        lambda: PlanOverride.objects.bulk_create(
            PlanOverride(plan=plan(letter), target=PHYS.unit, action="hide")
            for letter in "BC"
        ),
        "BC",
    ),
    "saving an override": (
        lambda: save(first(PlanOverride, "A"), action="hide"),
        "A",
    ),
    "updating overrides": (lambda: PlanOverride.objects.update(action="hide"), "A"),
    "bulk-updating overrides": (
        lambda: bulk(PlanOverride.objects.all(), action="hide"),
        "A",
    ),
    "deleting an override": (lambda: first(PlanOverride, "A").delete(), "A"),
    "an override of something else": (
        lambda: save(first(PlanOverride, "A"), action="rename", value="X"),
        "A",
    ),
    "updating a new title": (lambda: retitle_in_bulk("A"), "A"),
    "deleting a new title": (lambda: retitled("A").delete(), "A"),
    "deleting overrides in bulk": (lambda: clear_overrides("A"), "A"),
    "adding an override on the page": (
        lambda: say(plan("C"), PHYS.unit, action="hide"),
        "C",
    ),
    "removing an override on the page": (
        lambda: say(plan("A"), MATH.next_lesson, remove="access"),
        "A",
    ),
    "moving an override": (lambda: move_part(first(PlanOverride, "A"), "B"), "AB"),
    "giving an override away": (
        lambda: plan("B").overrides.add(first(PlanOverride, "A")),
        "AB",
    ),
    "updating an override's plan": (
        lambda: PlanOverride.objects.update(plan=plan("B")),
        "AB",
    ),
    "bulk-updating an override's plan": (
        lambda: bulk(PlanOverride.objects.all(), plan=plan("B")),
        "AB",
    ),
    # Labels in the manifest.
    "renaming a season": (lambda: save(Season.objects.get(), title="X"), "AC"),
    "renaming a grade": (lambda: save(Grade.objects.get(), title="X"), "AC"),
    "renaming a stream": (lambda: save(Stream.objects.get(), title="X"), "AC"),
    "updating seasons": (lambda: Season.objects.update(title="X"), "AC"),
    "bulk-updating grades": (lambda: bulk(Grade.objects.all(), title="X"), "AC"),
    "a stream's form": (
        lambda: submit("plans_stream_change", Stream.objects.get(), title="X"),
        "AC",
    ),
    # Content that plans refer to.
    "deleting a subject": (lambda: services.delete_node(node=MATH.subject), "AB"),
    # Settings.
    "saving the settings": (
        lambda: save(PublishingSettings.get_solo(), search_shard_threshold=1),
        "ABCD",
    ),
    "updating the settings": (
        lambda: PublishingSettings.objects.update(search_shard_threshold=1),
        "ABCD",
    ),
    "the settings' form": (
        lambda: submit(
            "publishing_publishingsettings_change",
            query="",
            local_domain="https://new.example",
        ),
        "ABCD",
    ),
}


IMMEDIATE_PLAN_EDITS = {
    "setting many-to-many",
    "removing a subject",
    "removing many-to-many",
    "clearing many-to-many",
    "removing subjects in bulk",
    "replacing a subject",
    "moving a subject's row",
    "giving a subject's row away",
    "setting an override",
    "replacing an override",
    "bulk-creating overrides",
    "saving an override",
    "updating overrides",
    "bulk-updating overrides",
    "deleting an override",
    "deleting overrides in bulk",
    "an override of something else",
    "adding an override on the page",
    "removing an override on the page",
    "moving an override",
    "giving an override away",
    "updating an override's plan",
    "bulk-updating an override's plan",
    "deleting a subject",
}


# --- Each write makes exactly its plans pending -----------------------------


@pytest.fixture
def commit(django_capture_on_commit_callbacks):
    """Return a function that makes a write and runs its on-commit callbacks."""

    def run(write: Write) -> None:
        with django_capture_on_commit_callbacks(execute=True):
            write()

    return run


@pytest.mark.parametrize("name", CONTENT)
def test_a_write_of_content_counts_for_the_plans_that_have_it(
    name, commit, worker_starts
):
    commit(lambda: CONTENT[name](MATH))
    assert pending() == {"A", "B"}
    assert titles(queue.pending_plans()) == {"A", "B"}
    assert bool(worker_starts) == (name in IMMEDIATE_EDITS)


@pytest.mark.parametrize("write", ACROSS.values(), ids=list(ACROSS))
def test_a_write_across_subjects_counts_for_the_plans_of_both(
    write, commit, worker_starts
):
    commit(write)
    assert pending() == {"A", "B", "C"}
    assert titles(queue.pending_plans()) == {"A", "B", "C"}
    assert not worker_starts


@pytest.mark.parametrize("name", PLANS)
def test_a_write_of_plans_counts_for_those(name, commit, worker_starts):
    write, expected = PLANS[name]
    commit(write)
    assert pending() == set(expected)
    assert titles(queue.pending_plans()) == set(expected)
    assert bool(worker_starts) == (name in IMMEDIATE_PLAN_EDITS)


def test_another_site_url_concerns_every_plan(settings):
    settings.SITE_URL = "https://elsewhere.example"
    assert pending() == EVERY


def test_a_site_url_that_the_settings_override_concerns_nobody(settings):
    save(PublishingSettings.get_solo(), local_domain="https://learn.example")
    settle()
    settings.SITE_URL = "https://elsewhere.example"
    assert pending() == set()


# --- Writes that affect no plan ---------------------------------------------


@contextmanager
def undone() -> Iterator[None]:
    """Roll back everything inside."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def test_writing_a_subject_that_is_in_no_plan_counts_for_none(subtests):
    for name, write in CONTENT.items():
        with subtests.test(name), undone():
            write(LONE)
            assert pending() == set()


def test_a_rolled_back_write_queues_nothing(
    subtests, django_capture_on_commit_callbacks
):
    writes: dict[str, Write] = {
        **{name: lambda write=write: write(MATH) for name, write in CONTENT.items()},
        **{f"{name} (across)": write for name, write in ACROSS.items()},
        **{f"{name} (plans)": write for name, (write, _of) in PLANS.items()},
    }
    for name, write in writes.items():
        with subtests.test(name):
            with django_capture_on_commit_callbacks() as waiting, undone():
                write()
                assert pending()
            assert (pending(), waiting) == (set(), [])


NOTHING: dict[str, Write] = {
    "importing what is there": lambda: imported(MATH, lambda _subject: None),
    "importing on trial": lambda: imported(MATH, rename_in_file, dry_run=True),
    "importing a new subject": lambda: import_curriculum(
        b'{"format": "memora-curriculum/1", "subject": {"title": "New", "tracks": []}}'
    ),
    "creating a subject": lambda: services.create_node(kind=Kind.SUBJECT, title="New"),
    "adding a subject that is there": lambda: add_subject(
        plan=plan("A"), subject=MATH.subject
    ),
    "the order that is there": lambda: services.move_nodes(
        nodes=[MATH.lesson, MATH.next_lesson],
        target=MATH.topic,
        position="first-child",
    ),
    "trashing twice": lambda: [
        trash_node(node=MATH.unit),
        settle(),
        trash_node(node=MATH.unit),
    ],
    "an update of no row": lambda: Lesson.objects.filter(title="?").update(base_xp=1),
    "a deletion of no row": lambda: Lesson.objects.filter(title="?").delete(),
    "the draft action on a draft": lambda: [
        MATH.lessons.update(is_published=False),
        settle(),
        act("unpublish", MATH.lesson),
    ],
    "a label nobody has": lambda: save(Season.objects.create(title="Y"), title="Z"),
    "creating an unpublished plan": lambda: AcademicPlan.objects.create(title="F"),
    "looking at every page": lambda: [
        admin().get(TREE),
        admin().get(reverse("admin:content_node_change", args=[MATH.lesson.pk])),
        admin().get(reverse("admin:plans_academicplan_change", args=[plan("A").pk])),
    ],
}


@pytest.mark.parametrize("write", NOTHING.values(), ids=list(NOTHING))
def test_what_changes_nothing_published_counts_for_none(write):
    write()
    assert pending() == set()


def test_a_move_into_a_subject_without_plans_counts_for_the_side_it_left():
    move_node(node=MATH.lesson, target=LONE.topic, position="last-child")
    assert pending() == {"A", "B"}


def test_a_move_out_of_a_subject_without_plans_counts_for_the_side_it_came_to():
    move_node(node=LONE.lesson, target=PHYS.topic, position="last-child")
    assert pending() == {"B", "C"}


# --- Plans created and deleted ----------------------------------------------


@pytest.mark.parametrize(
    "write",
    [
        lambda: save(plan("A"), is_published=False),
        lambda: AcademicPlan.objects.filter(title="A").update(is_published=False),
        lambda: plan("A").delete(),
        lambda: AcademicPlan.objects.filter(title="A").delete(),
    ],
    ids=["unpublished", "unpublished in bulk", "deleted", "deleted in bulk"],
)
def test_a_plan_taken_away_is_to_withdraw_at_once_and_no_other_changes(
    write, commit, worker_starts
):
    kept = Publication.objects.get(plan_public_id="PLAN-A").pk
    commit(write)
    assert staleness.to_withdraw() == [kept]
    assert pending() == set()
    assert worker_starts


def test_a_plan_published_again_is_pending():
    AcademicPlan.objects.filter(title="A").update(is_published=False)
    AcademicPlan.objects.filter(title="A").update(is_published=True)
    assert pending() == {"A"}
    assert staleness.to_withdraw() == []


def test_a_stale_plan_takes_no_revision_back():
    old = plan("A")
    save(plan("A"), title="Newer")
    settle()
    save(old, title="Old")
    assert pending() == {"A"}


def test_real_builds_settle_every_plan():
    save(MATH.lesson, title="Other")
    AcademicPlan.objects.update(title="All")
    assert pending() == EVERY
    sweep.process_pending(limit=10)
    assert pending() == set()


def test_an_edit_after_the_build_read_its_snapshot_stays_pending(monkeypatch):
    real = snapshot.take

    def edited_meanwhile(plan_pk, **kwargs):
        taken = real(plan_pk, **kwargs)
        save(MATH.lesson, title=f"Meanwhile {plan_pk}")
        return taken

    save(plan("A"), title="Start")
    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "take", edited_meanwhile)
        builds.publish_plan(plan("A").pk)
    assert pending() == {"A", "B"}


# --- Costs of touching ------------------------------------------------------


def queries_of(write: Write) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        write()
    return [query["sql"] for query in captured]


def test_touching_any_number_of_subjects_is_one_query(django_assert_num_queries):
    subjects = [MATH.subject.pk, PHYS.subject.pk, LONE.subject.pk]
    with django_assert_num_queries(1):  # the revisions; receivers run on commit
        SubjectState.mark_changed(subjects)
    with django_assert_num_queries(0):
        SubjectState.mark_changed([])


def test_touching_any_number_of_plans_is_one_query(django_assert_num_queries):
    plans = list(AcademicPlan.objects.values_list("pk", flat=True))
    with django_assert_num_queries(1):  # the revisions
        AcademicPlan.mark_changed(plans)


def test_a_transaction_of_many_edits_wakes_once(
    monkeypatch, django_capture_on_commit_callbacks
):
    woken: list[set[str]] = []
    monkeypatch.setattr(
        receivers, "wake", lambda pks, urgent: woken.append(titles(pks))
    )
    with django_capture_on_commit_callbacks(execute=True):
        for lesson in Lesson.objects.exclude(subject=LONE.subject):
            save(lesson, title="Again")
        for letter in "AAD":
            save(plan(letter), title="Again")
    # One call for subjects, one for plans.
    assert sorted(map(sorted, woken)) == [["A", "B", "C"], ["A", "D"]]


def test_a_wake_that_fails_is_logged_and_breaks_no_edit(
    monkeypatch, caplog, django_capture_on_commit_callbacks
):
    def fail(_pks, urgent):
        raise RuntimeError("no worker")

    monkeypatch.setattr(receivers, "wake", fail)
    with django_capture_on_commit_callbacks(execute=True):
        save(MATH.lesson, title="Saved")
    assert "_WakeWorker for plans_of_subjects" in caplog.text
    assert pending() == {"A", "B"}


def test_waking_takes_the_same_queries_for_any_number_of_plans(
    django_capture_on_commit_callbacks,
):
    def cost() -> int:
        with django_capture_on_commit_callbacks() as waiting:
            MATH.lessons.update(base_xp=3)
        connection.run_on_commit.clear()  # committed
        return sum(len(queries_of(call)) for call in waiting)

    # The subject's plans; the settings.
    assert cost() == 2
    for extra_plan in range(20):
        extra = AcademicPlan.objects.create(
            title=f"Extra {extra_plan}", is_published=True
        )
        add_subject(plan=extra, subject=MATH.subject)
    assert cost() == 2


@pytest.mark.parametrize(
    "write",
    [
        lambda b: b.lessons.update(base_xp=3),
        lambda b: b.stages.update(weight=3),
        lambda b: b.stages.update(lesson_id=b.lesson.pk),
        lambda b: b.lesson.stages.add(*b.stages),
        lambda b: bulk(b.stages, weight=3),
        lambda b: act("unpublish", b.track),
    ],
    ids=["nodes", "stages", "moved stages", "given stages", "in bulk", "the admin's"],
)
def test_a_bulk_write_asks_the_same_for_any_number_of_rows(write):
    plant("LARGE", lessons=20)
    admin()  # made once
    ContentType.objects.get_for_model(Node)  # the process remembers it
    costs = [queries_of(lambda: write(b)) for b in (MATH, Branch("LARGE"))]  # noqa: B023
    assert len(costs[0]) == len(costs[1])


@pytest.mark.parametrize(
    "write",
    [
        lambda b: services.delete_node(node=b.unit),
        lambda b: b.stages.delete(),
        lambda b: b.lessons.delete(),
        lambda b: services.delete_node(node=b.subject),
    ],
    ids=["a branch", "stages", "lessons", "a subject"],
)
def test_deleting_much_is_few_touches(write):
    """Deleting a subject with thousands of lessons is one edit."""
    plant("LARGE", lessons=40)
    touches = [
        sum('UPDATE "content_subjectstate"' in sql for sql in queries_of(run))
        for run in (lambda: write(MATH), lambda: write(Branch("LARGE")))
    ]
    assert touches[0] == touches[1] <= 5

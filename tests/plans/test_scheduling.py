"""Scheduled changes: when they are made, in which order, and what they say."""

import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from content import services as content_services
from content.history.changes import node_edits
from content.hooks import node_history
from content.models import Node
from plans import scheduling, services
from plans.history import plan_edits
from plans.models import AcademicPlan, PlanOverride, ScheduledChange
from players.models import User
from publishing import tasks
from publishing.building import builds
from publishing.models import Publication
from tests.factories.content import trash_node

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
DUE = NOON + timedelta(hours=1)


@pytest.fixture
def editor(db) -> User:
    return User.objects.create_user("mona@example.com", "a-password", full_name="Mona")


@pytest.fixture
def unit(maths) -> Node:
    """A draft."""
    Node.objects.filter(pk=maths["unit"].pk).update(is_published=False)
    return Node.objects.get(pk=maths["unit"].pk)


def schedule(action, *, due_at=DUE, by=None, **target) -> ScheduledChange:
    return scheduling.schedule(action=action, due_at=due_at, now=NOON, by=by, **target)


def is_published(row) -> bool:
    return type(row).objects.values_list("is_published", flat=True).get(pk=row.pk)


def outcome(entry) -> tuple[str, str]:
    entry.refresh_from_db()
    return entry.state, entry.reason


# --- When -----------------------------------------------------------------------------


def test_a_node_is_published_at_its_minute(unit):
    entry = schedule("publish", node=unit)
    assert scheduling.apply_due(DUE - timedelta(seconds=1)) == 0
    assert not is_published(unit)
    assert scheduling.apply_due(DUE) == 1
    assert is_published(unit)
    assert outcome(entry) == ("done", "")


def test_what_passed_while_beat_was_down_is_made_once(unit):
    schedule("publish", node=unit)
    later = DUE + timedelta(days=3)
    assert scheduling.apply_due(later) == 1
    Node.objects.filter(pk=unit.pk).update(is_published=False)
    assert scheduling.apply_due(later) == 0
    assert not is_published(unit)


def test_beat_sends_the_task_at_each_minute(settings):
    entry = settings.CELERY_BEAT_SCHEDULE["apply-scheduled-changes"]
    assert entry["task"] == "publishing.tasks.apply_scheduled_changes"
    assert entry["schedule"].minute == set(range(60))


@time_machine.travel(DUE, tick=False)
def test_the_task_publishes_what_it_changed(unit, plan):
    AcademicPlan.objects.filter(pk=plan.pk).update(is_published=True)
    builds.publish_plan(plan.pk)
    before = Publication.objects.get().generation
    schedule("publish", node=unit)
    tasks.apply_scheduled_changes()
    assert Publication.objects.get().generation > before


def test_seconds_are_dropped(unit):
    entry = schedule("publish", node=unit, due_at=DUE + timedelta(seconds=59))
    assert entry.due_at == DUE


def test_a_time_that_has_passed_is_refused(unit):
    with pytest.raises(ValidationError, match="This time has passed"):
        schedule("publish", node=unit, due_at=NOON)


def test_a_time_is_shown_in_the_sites_zone():
    with timezone.override(ZoneInfo("Asia/Baghdad")):
        assert "16:00" in scheduling.time_text(DUE) or "4 p.m." in (
            scheduling.time_text(DUE)
        )


def test_changes_of_one_time_are_made_in_the_order_of_scheduling(unit):
    for action in ("publish", "unpublish", "publish", "unpublish"):
        schedule(action, node=unit)
    schedule("publish", node=unit, due_at=DUE - timedelta(minutes=1))
    assert scheduling.apply_due(DUE) == 4
    assert not is_published(unit)
    states = ScheduledChange.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == ["unchanged", "done", "done", "done", "done"]


# --- What -----------------------------------------------------------------------------


def test_a_node_is_published_with_everything_inside(maths):
    Node.objects.update(is_published=False)
    trash_node(node=maths["lesson"])
    schedule("publish_inside", node=maths["track"])
    scheduling.apply_due(DUE)
    assert [is_published(maths[kind]) for kind in ("subject", "track", "topic")] == [
        False,
        True,
        True,
    ]
    assert not is_published(maths["lesson"]), "it is in the trash"


def test_a_plan_is_published_and_unpublished(plan):
    schedule("publish", plan=plan)
    schedule("unpublish", plan=plan, due_at=DUE + timedelta(hours=1))
    scheduling.apply_due(DUE)
    assert is_published(plan)
    scheduling.apply_due(DUE + timedelta(hours=1))
    assert not is_published(plan)


def test_an_override_is_set_and_removed(plan, maths):
    target = {"plan": plan, "node": maths["unit"]}
    schedule("set_override", **target, override="rename", value="Chapter")
    schedule(
        "remove_override",
        **target,
        aspect="title",
        due_at=DUE + timedelta(hours=1),
    )
    scheduling.apply_due(DUE)
    assert PlanOverride.objects.get().value == "Chapter"
    scheduling.apply_due(DUE + timedelta(hours=1))
    assert not PlanOverride.objects.exists()


@pytest.mark.parametrize(
    ("action", "chosen"),
    [
        ("set_override", {"override": "set_access_level", "value": "nobody"}),
        ("set_override", {"override": "set_sold_separately"}),
        ("publish", {}),
    ],
)
def test_an_override_that_could_not_be_set_today_is_refused(
    plan, maths, action, chosen
):
    with pytest.raises(ValidationError):
        schedule(action, plan=plan, node=maths["unit"], **chosen)


def test_an_override_outside_the_plan_is_refused(plan, physics):
    with pytest.raises(ValidationError, match="is not in any of this plan's subjects"):
        schedule("set_override", plan=plan, node=physics["unit"], override="hide")


# --- What does nothing ----------------------------------------------------------------


def test_a_deleted_node_is_said(unit):
    entry = schedule("publish", node=unit)
    content_services.delete_node(node=unit)
    assert scheduling.apply_due(DUE) == 0
    assert outcome(entry) == ("unchanged", "deleted")


def test_a_node_in_the_trash_stays_as_it_is(unit, maths):
    entry = schedule("publish", node=unit)
    trash_node(node=maths["track"])
    assert scheduling.apply_due(DUE) == 0
    assert outcome(entry) == ("unchanged", "in_trash")
    assert not is_published(unit)


def test_a_deleted_plan_is_said(plan, maths):
    entries = [
        schedule("publish", plan=plan),
        schedule("set_override", plan=plan, node=maths["unit"], override="hide"),
    ]
    plan.delete()
    assert scheduling.apply_due(DUE) == 0
    assert {outcome(entry) for entry in entries} == {("unchanged", "plan_deleted")}


def test_what_is_already_so_is_said(plan, maths):
    services.set_override(plan=plan, target=maths["unit"], action="hide")
    target = {"plan": plan, "node": maths["unit"]}
    entries = [
        schedule("publish", node=maths["unit"]),
        schedule("unpublish", plan=plan),
        schedule("set_override", **target, override="hide"),
        schedule("remove_override", **target, aspect="linear"),
    ]
    assert scheduling.apply_due(DUE) == 0
    assert {outcome(entry) for entry in entries} == {("unchanged", "already")}


def test_an_override_whose_subject_left_the_plan_is_refused(plan, maths):
    entry = schedule("set_override", plan=plan, node=maths["unit"], override="hide")
    plan.plan_subjects.all().delete()
    assert scheduling.apply_due(DUE) == 0
    state, reason = outcome(entry)
    assert state == "refused"
    assert "is not in any of this plan's subjects" in reason


def test_a_cancelled_change_is_not_made(unit):
    entry = schedule("publish", node=unit)
    assert scheduling.cancel(entry.pk, now=NOON)
    assert not scheduling.cancel(entry.pk, now=NOON), "it is cancelled already"
    assert scheduling.apply_due(DUE) == 0
    assert outcome(entry) == ("cancelled", "")


# --- The history ----------------------------------------------------------------------


def edits_of(node):
    found = Node.objects.get(pk=node.pk)
    return node_edits(found, node_history(found))


def test_the_history_of_a_node_names_who_scheduled_its_change(unit, editor):
    schedule("publish", node=unit, by=editor)
    scheduling.apply_due(DUE)
    edit = edits_of(unit)[0]
    assert (edit.who, edit.reason) == ("Mona", "scheduled")
    changes = {field.label: field.new for row in edit.rows for field in row.fields}
    assert changes == {"Published": "yes", "State": "done"}


def test_the_history_of_a_node_says_that_there_was_nothing_to_do(maths, editor):
    schedule("publish", node=maths["unit"], by=editor)
    scheduling.apply_due(DUE)
    [row] = edits_of(maths["unit"])[0].rows
    assert [field.new for field in row.fields] == ["nothing to do", "it was already so"]


def test_the_history_of_a_plan_shows_its_scheduled_changes(plan, maths, editor):
    schedule("set_override", plan=plan, node=maths["unit"], override="hide", by=editor)
    scheduling.apply_due(DUE)
    rows = [(row.what, row.how) for edit in plan_edits(plan) for row in edit.rows]
    assert ("scheduled change", "+") in rows
    assert ("scheduled change", "~") in rows
    assert ("override", "+") in rows
    assert plan_edits(plan)[0].who == "Mona"


# --- Races and crashes ----------------------------------------------------------------


def test_a_run_killed_before_the_mark_leaves_no_change(unit, monkeypatch):
    entry = schedule("publish", node=unit)

    def die(*_args, **_kwargs):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(scheduling, "_finish", die)
        with pytest.raises(SystemExit):
            scheduling.apply_due(DUE)
    assert not is_published(unit)
    assert outcome(entry) == ("waiting", "")
    assert scheduling.apply_due(DUE) == 1
    assert is_published(unit)


def test_a_change_that_fails_stops_no_other_and_is_tried_again(unit, plan, monkeypatch):
    failing = schedule("publish", node=unit)
    schedule("publish", plan=plan)

    def fail(*_args, **_kwargs):
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(scheduling, "_change_node", fail)
        assert scheduling.apply_due(DUE) == 1
    assert is_published(plan)
    assert outcome(failing) == ("waiting", "")
    assert scheduling.apply_due(DUE) == 1


def test_a_change_made_by_another_run_in_between_is_not_made_again(unit, monkeypatch):
    """The second run has read that the entry is due, and waits for its lock."""
    schedule("publish", node=unit)
    real = scheduling._apply

    def apply_late(*args):
        monkeypatch.setattr(scheduling, "_apply", real)
        assert scheduling.apply_due(DUE) == 1
        Node.objects.filter(pk=unit.pk).update(is_published=False)
        return real(*args)

    monkeypatch.setattr(scheduling, "_apply", apply_late)
    assert scheduling.apply_due(DUE) == 0
    assert not is_published(unit)


@pytest.mark.mariadb
@pytest.mark.django_db(transaction=True)
def test_two_runs_at_once_make_each_change_once(maths, plan):
    nodes = [maths[kind] for kind in ("track", "unit", "topic", "lesson")]
    for node in nodes:
        for action in ("unpublish", "publish") * 3:
            schedule(action, node=node)
    schedule("publish", plan=plan)
    start = threading.Barrier(4)
    counts = []

    def run():
        try:
            start.wait()
            counts.append(scheduling.apply_due(DUE))
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == 25
    assert set(ScheduledChange.objects.values_list("state", flat=True)) == {"done"}
    assert all(is_published(row) for row in (*nodes, plan))
    for node in nodes:
        made = Node.history.filter(id=node.pk, history_change_reason="scheduled")
        assert made.count() == 6

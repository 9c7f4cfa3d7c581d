"""Plans and their overrides: which values are valid, and which writes are edits."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from content.models import Node
from plans import services
from plans.access import Level, Override
from plans.models import (
    AcademicPlan,
    Grade,
    OverrideAction,
    PlanOverride,
    PlanSubject,
    Season,
    Stream,
    aspect_of,
)
from plans.queries import load_overrides, plans_of_subjects, subject_pks

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("model", [AcademicPlan, Grade, Season, Stream])
def test_a_name_in_which_nothing_can_be_seen_is_refused(model):
    with pytest.raises(ValidationError) as refused:
        model(title="\u200b\u200f\u3164").full_clean()
    assert "title" in refused.value.message_dict
    model(title="\u200fعاشر").full_clean()


def revision(plan):
    return AcademicPlan.objects.values_list("revision", flat=True).get(pk=plan.pk)


# --- Valid overrides ------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "value", "meaning"),
    [
        ("hide", "", Override(hide=True)),
        ("set_free", "", Override(level=Level.FREE_PREVIEW)),
        ("set_sold_separately", "X-1", Override(level=Level.PAID, item="X-1")),
        ("set_access_level", "public", Override(level=Level.PUBLIC)),
        ("set_access_level", "authenticated", Override(level=Level.AUTHENTICATED)),
        ("set_access_level", "free_preview", Override(level=Level.FREE_PREVIEW)),
        ("set_linear", "true", Override(is_linear=True)),
        ("set_linear", "false", Override(is_linear=False)),
        ("rename", "Chapter one", Override(title="Chapter one")),
    ],
)
def test_each_action_means_one_thing(plan, maths, action, value, meaning):
    target = maths["unit"]
    services.set_override(plan=plan, target=target, action=action, value=value)
    assert load_overrides(plan.pk) == {target.pk: meaning}


@pytest.mark.parametrize(
    ("action", "value"),
    [
        ("hide", "x"),
        ("set_free", "x"),
        ("set_sold_separately", ""),
        ("set_sold_separately", "two words"),
        ("set_access_level", ""),
        ("set_access_level", "PAID"),
        ("set_access_level", "gold"),
        ("set_linear", ""),
        ("set_linear", "True"),
        ("rename", ""),
        ("rename", "   "),
        ("rename", "\u200b\u200f"),
        ("rename", "x" * 256),
        ("explode", ""),
    ],
)
def test_a_value_that_does_not_fit_its_action_is_refused(plan, maths, action, value):
    with pytest.raises(ValidationError):
        services.set_override(
            plan=plan, target=maths["unit"], action=action, value=value
        )
    assert not PlanOverride.objects.exists()


def test_paid_content_without_a_product_is_refused(plan, maths):
    with pytest.raises(ValidationError, match="No product is known"):
        services.set_override(
            plan=plan, target=maths["unit"], action="set_access_level", value="paid"
        )
    assert not PlanOverride.objects.exists()


def test_paid_content_may_use_the_product_of_what_contains_it(plan, maths):
    Node.objects.filter(pk=maths["track"].pk).update(required_item="TRACK-1")
    unit = maths["unit"]
    services.set_override(
        plan=plan, target=unit, action="set_access_level", value="paid"
    )
    assert load_overrides(plan.pk)[unit.pk] == Override(level=Level.PAID)


def test_paid_content_may_use_the_product_that_the_plan_sets_above(plan, maths):
    services.set_override(
        plan=plan, target=maths["track"], action="set_sold_separately", value="T-1"
    )
    unit = maths["unit"]
    services.set_override(
        plan=plan, target=unit, action="set_access_level", value="paid"
    )
    assert load_overrides(plan.pk)[unit.pk] == Override(level=Level.PAID)


def test_selling_separately_may_use_the_contents_own_product(plan, maths):
    unit = maths["unit"]
    unit.required_item = "UNIT-1"
    unit.save(update_fields=["required_item"])
    services.set_override(plan=plan, target=unit, action="set_sold_separately")
    assert load_overrides(plan.pk)[unit.pk] == Override(level=Level.PAID)


def test_a_new_access_override_replaces_the_old_and_leaves_the_other_aspects(
    plan, maths
):
    for action, value in [("hide", ""), ("rename", "Chapter"), ("set_linear", "true")]:
        services.set_override(
            plan=plan, target=maths["unit"], action=action, value=value
        )
    services.set_override(plan=plan, target=maths["unit"], action="set_free")
    assert load_overrides(plan.pk)[maths["unit"].pk] == Override(
        level=Level.FREE_PREVIEW, is_linear=True, title="Chapter"
    )
    assert plan.overrides.count() == 3


@pytest.mark.mariadb
@pytest.mark.django_db(transaction=True)
def test_of_many_who_saw_the_same_and_speak_at_once_one_is_heard(plan, maths):
    seen = services.version_of([])
    start = threading.Barrier(8)

    def speak(number):
        try:
            start.wait(timeout=30)
            said = {"action": "rename", "value": f"Chapter {number}", "seen": seen}
            return services.set_override(plan=plan, target=maths["unit"], **said).value
        except ValidationError as refusal:
            return refusal.code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        heard = sorted(pool.map(speak, range(8)))
    assert heard == [plan.overrides.get().value, *["stale"] * 7]


def test_an_override_outside_the_plans_subjects_is_refused_by_name(plan, physics):
    with pytest.raises(ValidationError, match="“Physics unit” is not in any of") as no:
        services.set_override(plan=plan, target=physics["unit"], action="hide")
    assert no.value.error_list[0].code == "outside_plan"


def test_the_subject_itself_may_be_overridden(plan, maths):
    services.set_override(plan=plan, target=maths["subject"], action="set_free")
    assert plan.overrides.count() == 1


def test_overrides_are_read_in_one_query(plan, maths, django_assert_num_queries):
    for kind in ("track", "unit", "topic"):
        services.set_override(plan=plan, target=maths[kind], action="hide")
    with django_assert_num_queries(1):
        assert len(load_overrides(plan.pk)) == 3


# --- Database constraints -------------------------------------------------------


@pytest.mark.parametrize("action", OverrideAction.values)
def test_the_database_and_the_rules_agree_on_an_actions_aspect(plan, maths, action):
    row = PlanOverride.objects.create(plan=plan, target=maths["unit"], action=action)
    row.refresh_from_db()
    assert row.aspect == aspect_of(action)


def test_the_database_refuses_two_access_overrides_of_one_node(plan, maths):
    PlanOverride.objects.create(plan=plan, target=maths["unit"], action="hide")
    with pytest.raises(IntegrityError), transaction.atomic():
        PlanOverride.objects.create(plan=plan, target=maths["unit"], action="set_free")


def test_the_database_refuses_an_unknown_action(plan, maths):
    with pytest.raises(IntegrityError), transaction.atomic():
        PlanOverride.objects.create(plan=plan, target=maths["unit"], action="explode")


def test_the_database_refuses_a_subject_twice(plan, maths):
    with pytest.raises(IntegrityError), transaction.atomic():
        PlanSubject.objects.create(plan=plan, subject=maths["subject"])


def test_a_duplicate_is_told_in_words_before_the_database_must(plan, maths):
    PlanOverride.objects.create(plan=plan, target=maths["unit"], action="hide")
    twin = PlanOverride(plan=plan, target=maths["unit"], action="set_free")
    with pytest.raises(ValidationError, match="already has an override of this kind"):
        twin.full_clean()


# --- Subjects -------------------------------------------------------------------


def test_subjects_keep_the_order_they_were_added_in(plan, maths, physics):
    services.add_subject(plan=plan, subject=physics["subject"])
    services.add_subject(plan=plan, subject=maths["subject"])
    assert subject_pks(plan.pk) == [maths["subject"].pk, physics["subject"].pk]


def test_a_plan_takes_subjects_only(plan, maths):
    with pytest.raises(
        ValidationError, match=r"“.+” is a \w+. A plan can contain only subjects"
    ):
        services.add_subject(plan=plan, subject=maths["unit"])


def test_the_plans_of_a_subject_are_found(plan, maths, physics):
    other = AcademicPlan.objects.create(title="Other")
    services.add_subject(plan=other, subject=physics["subject"])
    assert plans_of_subjects([maths["subject"].pk]) == [plan.pk]


# --- Every write raises the revision ---------------------------------------------


def _writes():
    """``name: change(plan, maths, physics)`` for every way to change a plan."""
    return {
        "saving the plan": lambda plan, *_: plan.save(),
        "updating plans": lambda plan, *_: AcademicPlan.objects.update(title="X"),
        "adding a subject": lambda plan, _m, physics: services.add_subject(
            plan=plan, subject=physics["subject"]
        ),
        "adding subjects in bulk": lambda plan, _m, physics: (
            PlanSubject.objects.bulk_create(
                [PlanSubject(plan=plan, subject=physics["subject"])]
            )
        ),
        "reordering subjects": lambda plan, *_: PlanSubject.objects.update(position=7),
        "reordering subjects in bulk": lambda plan, *_: _bulk_update(
            PlanSubject, "position", 9
        ),
        "removing a subject": lambda plan, *_: PlanSubject.objects.get().delete(),
        "removing subjects in bulk": lambda plan, *_: (
            PlanSubject.objects.all().delete()
        ),
        "an override": lambda plan, maths, _p: services.set_override(
            plan=plan, target=maths["topic"], action="hide"
        ),
        "changing overrides in bulk": lambda plan, *_: PlanOverride.objects.update(
            value="Y"
        ),
        "saving overrides in bulk": lambda plan, *_: _bulk_update(
            PlanOverride, "value", "Z"
        ),
        "removing an override": lambda plan, *_: PlanOverride.objects.get().delete(),
        "removing overrides in bulk": lambda plan, *_: (
            PlanOverride.objects.all().delete()
        ),
        "overrides made in bulk": lambda plan, maths, _p: (
            PlanOverride.objects.bulk_create(
                [PlanOverride(plan=plan, target=maths["lesson"], action="hide")]
            )
        ),
        "renaming its grade": lambda plan, *_: Grade.objects.get().save(),
        "renaming grades in bulk": lambda plan, *_: Grade.objects.update(title="Y"),
        "saving grades in bulk": lambda plan, *_: _bulk_update(Grade, "title", "Y"),
        "renaming grades by an upsert": lambda plan, *_: Grade.objects.bulk_create(
            [Grade(pk=plan.grade_id, title="Y")],
            update_conflicts=True,
            update_fields=["title"],
            unique_fields=(
                ["pk"]
                if connection.features.supports_update_conflicts_with_target
                else None
            ),
        ),
        "renaming its season": lambda plan, *_: Season.objects.get().save(),
        "renaming its stream": lambda plan, *_: Stream.objects.get().save(),
    }


def _bulk_update(model, field, value):
    rows = list(model.objects.all())
    for row in rows:
        setattr(row, field, value)
    model.objects.bulk_update(rows, [field])


@pytest.mark.parametrize("name", list(_writes()))
def test_every_way_to_change_a_plan_moves_its_revision(plan, maths, physics, name):
    plan.grade = Grade.objects.create(title="Twelfth")
    plan.season = Season.objects.create(title="2026")
    plan.stream = Stream.objects.create(title="Science")
    plan.save()
    services.set_override(
        plan=plan, target=maths["unit"], action="rename", value="Chapter"
    )
    before = revision(plan)
    _writes()[name](plan, maths, physics)
    assert revision(plan) > before


def test_an_override_taken_to_another_plan_counts_for_both(plan, maths):
    other = AcademicPlan.objects.create(title="Other")
    PlanOverride.objects.create(plan=plan, target=maths["unit"], action="hide")
    before = revision(plan), revision(other)
    PlanOverride.objects.update(plan=other)
    assert revision(plan) > before[0]
    assert revision(other) > before[1]


def test_an_override_saved_under_another_plan_counts_for_both(plan, maths):
    other = AcademicPlan.objects.create(title="Other")
    row = PlanOverride.objects.create(plan=plan, target=maths["unit"], action="hide")
    before = revision(plan), revision(other)
    row.plan = other
    row.save()
    assert revision(plan) > before[0]
    assert revision(other) > before[1]


def test_a_plan_read_long_ago_does_not_take_the_revision_back(plan, maths):
    old = AcademicPlan.objects.get(pk=plan.pk)
    for _ in range(3):
        plan.save()
    before = revision(plan)
    old.save()
    assert revision(plan) == before + 1


def test_an_edit_that_is_rolled_back_leaves_no_trace(plan):
    before = revision(plan)
    with transaction.atomic():
        plan.save()
        transaction.set_rollback(True)
    assert revision(plan) == before


def test_another_plan_is_not_touched(plan, maths):
    other = AcademicPlan.objects.create(title="Other")
    before = revision(other)
    services.set_override(plan=plan, target=maths["unit"], action="hide")
    assert revision(other) == before

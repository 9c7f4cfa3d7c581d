"""The plan page: subjects in order, overrides inside them, and publishing."""

import pytest
from django.urls import reverse
from django.utils import timezone

from plans import services as plan_services
from plans.models import AcademicPlan, PlanOverride, PlanSubject
from publishing.models import Publication, SyncLog, SyncStatus

from .conftest import messages_of

pytestmark = pytest.mark.django_db

PLANS = reverse("admin:plans_academicplan_changelist")


def change_url(plan):
    return reverse("admin:plans_academicplan_change", args=[plan.pk])


def rows(prefix, given):
    initial = sum(1 for row in given if "id" in row)
    data = {
        f"{prefix}-TOTAL_FORMS": len(given),
        f"{prefix}-INITIAL_FORMS": initial,
        f"{prefix}-MIN_NUM_FORMS": 0,
        f"{prefix}-MAX_NUM_FORMS": 1000,
    }
    for number, row in enumerate(given):
        data |= {f"{prefix}-{number}-{name}": value for name, value in row.items()}
    return data


def save(browser, plan, *, subjects=None, overrides=(), **fields):
    """Post the plan's page; its subjects stay as they are unless given."""
    if subjects is None:
        subjects = [
            {"id": row.pk, "plan": plan.pk, "subject": row.subject_id, "position": n}
            for n, row in enumerate(plan.plan_subjects.all(), start=1)
        ]
    data = {
        "title": plan.title,
        "is_published": "on",
        **rows("plan_subjects", subjects),
        **rows("overrides", overrides),
        **rows("sync_logs", []),
        **fields,
    }
    return browser.post(change_url(plan), data)


def errors_of(page):
    """``(inline, row, field): messages`` of everything wrong in the inlines."""
    return {
        (found.formset.prefix, number, field): list(texts)
        for found in page.context["inline_admin_formsets"]
        for number, row in enumerate(found.formset.errors)
        for field, texts in row.items()
    }


def override(target, action="hide", value="", **extra):
    return {"target": target.pk, "action": action, "value": value, **extra}


def test_a_new_plan_with_its_subjects_and_overrides_is_saved_at_once(
    browser, maths, physics
):
    page = browser.post(
        reverse("admin:plans_academicplan_add"),
        {
            "title": "Grade 11",
            "public_id": "PLAN-11",
            **rows(
                "plan_subjects",
                [
                    {"subject": maths["subject"].pk, "position": 2},
                    {"subject": physics["subject"].pk, "position": 1},
                ],
            ),
            **rows("overrides", [override(physics["unit"])]),
        },
    )
    assert page.status_code == 302
    plan = AcademicPlan.objects.get(public_id="PLAN-11")
    subjects = [row.subject.title for row in plan.plan_subjects.all()]
    assert subjects == ["Physics", "Mathematics"]
    assert plan.overrides.get().target_id == physics["unit"].pk


def test_an_override_outside_the_plans_subjects_is_named_at_its_row(
    browser, plan, physics
):
    page = save(browser, plan, overrides=[override(physics["unit"])])
    said = errors_of(page)["overrides", 0, "target"][0]
    assert "“Physics's unit” is not in any of this plan's subjects" in said
    assert not plan.overrides.exists()


def test_a_subject_added_with_its_override_is_one_save(browser, plan, physics):
    kept = plan.plan_subjects.get()
    page = save(
        browser,
        plan,
        subjects=[
            {"id": kept.pk, "plan": plan.pk, "subject": kept.subject_id, "position": 1},
            {"plan": plan.pk, "subject": physics["subject"].pk, "position": 2},
        ],
        overrides=[override(physics["unit"])],
    )
    assert page.status_code == 302
    assert plan.overrides.count() == 1


def test_a_subject_removed_takes_no_override_with_it_silently(browser, plan, maths):
    existing = plan_services.set_override(
        plan=plan, target=maths["unit"], action="hide"
    )
    row = plan.plan_subjects.get()
    subjects = [
        {
            "id": row.pk,
            "plan": plan.pk,
            "subject": row.subject_id,
            "position": 1,
            "DELETE": "on",
        }
    ]
    kept = override(maths["unit"], id=existing.pk, plan=plan.pk)
    page = save(browser, plan, subjects=subjects, overrides=[kept])
    assert ("overrides", 0, "target") in errors_of(page)
    page = save(browser, plan, subjects=subjects, overrides=[{**kept, "DELETE": "on"}])
    assert page.status_code == 302
    assert not PlanOverride.objects.exists()
    assert not PlanSubject.objects.exists()


def test_two_access_overrides_of_one_node_are_refused_at_the_row(browser, plan, maths):
    page = save(
        browser,
        plan,
        overrides=[override(maths["unit"]), override(maths["unit"], "set_free")],
    )
    said = errors_of(page)["overrides", 1, "action"][0]
    assert "“Mathematics's unit” already has an override of its access" in said


def test_different_aspects_of_one_node_go_together(browser, plan, maths):
    page = save(
        browser,
        plan,
        overrides=[
            override(maths["unit"], "set_free"),
            override(maths["unit"], "set_linear", "true"),
            override(maths["unit"], "rename", "Chapter"),
        ],
    )
    assert page.status_code == 302
    assert plan.overrides.count() == 3


def test_a_removed_override_makes_room_in_the_same_save(browser, plan, maths):
    hidden = plan_services.set_override(plan=plan, target=maths["unit"], action="hide")
    free = plan_services.set_override(
        plan=plan, target=maths["topic"], action="set_free"
    )
    page = save(
        browser,
        plan,
        overrides=[
            override(maths["topic"], id=hidden.pk, plan=plan.pk),
            override(maths["topic"], "set_free", id=free.pk, plan=plan.pk, DELETE="on"),
        ],
    )
    assert page.status_code == 302
    assert plan.overrides.get().target_id == maths["topic"].pk


def test_a_subject_twice_is_refused_at_the_row(browser, plan):
    row = plan.plan_subjects.get()
    page = save(
        browser,
        plan,
        subjects=[
            {"id": row.pk, "plan": plan.pk, "subject": row.subject_id, "position": 1},
            {"plan": plan.pk, "subject": row.subject_id, "position": 2},
        ],
    )
    assert "already in the plan" in errors_of(page)["plan_subjects", 1, "subject"][0]


def test_a_lesson_is_no_subject_of_a_plan(browser, plan, maths):
    page = save(
        browser, plan, subjects=[{"subject": maths["lesson"].pk, "position": 1}]
    )
    assert ("plan_subjects", 0, "subject") in errors_of(page)


@pytest.mark.parametrize(
    ("action", "value"),
    [
        ("hide", "x"),
        ("set_access_level", "gold"),
        ("set_linear", "maybe"),
        ("rename", " "),
        ("set_sold_separately", ""),
        ("set_sold_separately", "a b"),
    ],
)
def test_a_value_that_does_not_fit_its_action_is_refused(
    browser, plan, maths, action, value
):
    page = save(browser, plan, overrides=[override(maths["unit"], action, value)])
    assert ("overrides", 0, "value") in errors_of(page)


def test_the_chooser_of_overrides_is_limited_to_the_plans_subjects(browser, plan):
    page = browser.get(change_url(plan)).content.decode()
    inside = ",".join(str(pk) for pk in plan.subjects.values_list("pk", flat=True))
    assert f"?subjects={inside}" in page


def test_publish_now_publishes_and_the_page_says_so(browser, plan):
    assert "Waiting to publish" in browser.get(PLANS).content.decode()
    page = browser.post(
        PLANS,
        {"action": "publish_now", "_selected_action": [plan.pk]},
        follow=True,
    )
    assert any("Publishing 1 plan" in text for text in messages_of(page))
    assert Publication.objects.get(plan=plan).generation is not None
    assert SyncLog.objects.get(plan=plan).trigger == "admin"
    assert "Up to date" in browser.get(PLANS).content.decode()
    assert "generation" in browser.get(change_url(plan)).content.decode()


def test_publish_now_leaves_drafts_out_and_names_them(browser, plan):
    AcademicPlan.objects.update(is_published=False)
    page = browser.post(
        PLANS, {"action": "publish_now", "_selected_action": [plan.pk]}, follow=True
    )
    assert any("“Grade 12” is a draft" in text for text in messages_of(page))
    assert not SyncLog.objects.exists()


def test_a_dead_letter_is_tried_again_by_who_may(browser, client_of, support, plan):
    log = reverse("admin:publishing_synclog_changelist")
    entry = SyncLog.objects.create(
        plan=plan,
        plan_public_id=plan.public_id,
        status=SyncStatus.DEAD_LETTER,
        trigger="queue",
        attempts=6,
        created_at=timezone.now(),
    )
    chosen = {"action": "retry", "_selected_action": [entry.pk]}
    assert client_of(support).post(log, chosen).status_code == 403
    page = browser.post(log, chosen, follow=True)
    assert messages_of(page) == ["Trying 1 run again."]
    assert Publication.objects.get(plan=plan).generation is not None
    assert not SyncLog.objects.filter(status=SyncStatus.DEAD_LETTER).exists()


def test_the_list_of_plans_reads_in_the_same_queries_however_many(
    browser, plan, maths, django_assert_num_queries
):
    browser.get(PLANS)
    # Session, user; how many; the plans with their publications; the filters'
    # seasons, grades, streams; what waits (settings, publications, subjects, plans,
    # withdrawn).
    with django_assert_num_queries(12):
        browser.get(PLANS)
    for number in range(9):
        more = AcademicPlan.objects.create(title=f"Plan {number}", is_published=True)
        plan_services.add_subject(plan=more, subject=maths["subject"])
    with django_assert_num_queries(12):
        browser.get(PLANS)

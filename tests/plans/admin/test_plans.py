"""Plans in the admin: their list, their form with ordered subjects, publishing."""

import pytest
from django.urls import reverse
from django.utils import timezone

from plans import services as plan_services
from plans.models import AcademicPlan, PlanOverride, PlanSubject
from players.models import Enrollment
from players.services import accounts
from publishing.models import Publication, SyncLog, SyncStatus
from tests.admin_fixtures import messages_of

pytestmark = pytest.mark.django_db

PLANS = reverse("admin:plans_academicplan_changelist")
NOW = timezone.now()


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


def save(browser, plan, *, subjects=None, **fields):
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
        **rows("sync_logs", []),
        **fields,
    }
    return browser.post(change_url(plan), data)


def errors_of(page):
    """Return every error of the inlines as ``(inline, row, field): messages``."""
    return {
        (found.formset.prefix, number, field): list(texts)
        for found in page.context["inline_admin_formsets"]
        for number, row in enumerate(found.formset.errors)
        for field, texts in row.items()
    }


def test_a_new_plan_with_its_subjects_is_saved_at_once(browser, maths, physics):
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
        },
    )
    assert page.status_code == 302
    plan = AcademicPlan.objects.get(public_id="PLAN-11")
    subjects = [row.subject.title for row in plan.plan_subjects.all()]
    assert subjects == ["Physics", "Mathematics"]


def seen_on(page):
    return page.context["adminform"].form["seen"].value()


def test_the_second_of_two_publishers_is_told_and_publishes_no_withdrawn_plan(
    browser, plan, physics
):
    seen = seen_on(browser.get(change_url(plan)))
    save(browser, plan, title="Theirs", is_published="", seen=seen)

    page = save(browser, plan, title="Mine", season="", seen=seen)

    assert "Another user saved this page" in page.content.decode()
    assert 'value="Mine"' in page.content.decode()
    plan.refresh_from_db()
    assert (plan.title, plan.is_published) == ("Theirs", False)


def test_subjects_in_another_order_make_an_older_page_old(browser, plan, physics):
    plan_services.add_subject(plan=plan, subject=physics["subject"])
    seen = seen_on(browser.get(change_url(plan)))
    first, second = plan.plan_subjects.all()
    PlanSubject.objects.filter(pk=first.pk).update(position=second.position + 1)
    page = save(browser, plan, title="Mine", seen=seen)
    assert "Another user saved this page" in page.content.decode()


def test_what_is_overridden_on_the_page_meanwhile_makes_it_no_older(
    browser, plan, maths
):
    seen = seen_on(browser.get(change_url(plan)))
    plan_services.set_override(plan=plan, target=maths["unit"], action="hide")
    assert save(browser, plan, title="Mine", seen=seen).status_code == 302
    plan.refresh_from_db()
    assert plan.title == "Mine"


def test_a_page_that_changed_one_field_writes_that_one(browser, plan, monkeypatch):
    written = []
    real = AcademicPlan.save

    def save_and_tell(self, *args, **kwargs):
        written.append(set(kwargs.get("update_fields", ())))
        real(self, *args, **kwargs)

    monkeypatch.setattr(AcademicPlan, "save", save_and_tell)
    save(browser, plan, title="Mine")
    assert written == [{"title", "updated_at"}]


def without(plan, title):
    """The rows of the plan's form with one subject marked for removal."""
    return [
        {
            "id": row.pk,
            "plan": plan.pk,
            "subject": row.subject_id,
            "position": number,
            **({"DELETE": "on"} if row.subject.title == title else {}),
        }
        for number, row in enumerate(plan.plan_subjects.all(), start=1)
    ]


def test_a_subject_the_plan_speaks_of_is_not_removed_silently(browser, plan, maths):
    for target in (maths["unit"], maths["subject"]):
        plan_services.set_override(plan=plan, target=target, action="set_free")
    page = save(browser, plan, subjects=without(plan, "Mathematics"))
    [formset] = [
        found.formset
        for found in page.context["inline_admin_formsets"]
        if found.formset.prefix == "plan_subjects"
    ]
    [message] = formset.non_form_errors()
    assert "“Mathematics” was not removed: this plan has 2 overrides in it." in message
    assert plan.plan_subjects.count() == 1
    PlanOverride.objects.all().delete()
    assert save(browser, plan, subjects=without(plan, "Mathematics")).status_code == 302
    assert not PlanSubject.objects.exists()


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


def test_publish_now_publishes_and_the_page_says_so(browser, plan, worker_runs):
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


def test_a_dead_letter_is_tried_again_by_who_may(
    browser, client_of, support, plan, worker_runs
):
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
    assert messages_of(page) == ["Retrying 1 run."]
    assert Publication.objects.get(plan=plan).generation is not None
    assert not SyncLog.objects.filter(status=SyncStatus.DEAD_LETTER).exists()


def test_the_list_of_plans_reads_in_the_same_queries_however_many(
    browser, plan, maths, django_assert_num_queries
):
    browser.get(PLANS)
    # Session, user; count; plans with publications; the filters' seasons, grades,
    # streams; pending plans (settings, publications, subjects, plans, withdrawals).
    with django_assert_num_queries(12):
        browser.get(PLANS)
    for number in range(9):
        more = AcademicPlan.objects.create(title=f"Plan {number}", is_published=True)
        plan_services.add_subject(plan=more, subject=maths["subject"])
    with django_assert_num_queries(12):
        browser.get(PLANS)


# --- Deleting -------------------------------------------------------------------------


@pytest.fixture
def enrol(plan):
    def make(count):
        for _n in range(count):
            number = Enrollment.objects.count()
            accounts.create_player(
                f"s{number}@example.com", "student-password-1", full_name="S", plan=plan
            )

    return make


def test_deleting_a_plan_counts_its_students_and_names_what_goes(
    browser, plan, maths, enrol, django_assert_num_queries
):
    for node in (maths["unit"], maths["lesson"]):
        plan_services.set_override(plan=plan, target=node, action="hide")
    Publication.objects.create(
        plan=plan, plan_public_id=plan.public_id, generation=3, published_at=NOW
    )
    enrol(1)
    url = reverse("admin:plans_academicplan_delete", args=[plan.pk])
    # Session, user; plan with number of subjects; overrides; students; releases.
    with django_assert_num_queries(6):
        page = browser.get(url).content.decode()
    assert "1 student is enrolled and will lose access permanently" in page
    assert "2 overrides of it will be deleted" in page
    assert "published files are removed at the next run" in page
    enrol(5)
    with django_assert_num_queries(6):
        page = browser.get(url).content.decode()
    assert "6 students are enrolled" in page
    assert "trash" not in page
    browser.post(url, {"post": "yes"})
    assert not AcademicPlan.objects.exists()


def test_deleting_several_plans_says_the_same_of_all(browser, plan, enrol):
    enrol(2)
    other = AcademicPlan.objects.create(title="Grade 11")
    chosen = {
        "action": "delete_selected",
        "_selected_action": [plan.pk, other.pk],
    }
    page = browser.post(PLANS, chosen).content.decode()
    assert "Grade 11" in page
    assert "2 students are enrolled" in page
    assert "published files" not in page
    browser.post(PLANS, {**chosen, "post": "yes"})
    assert not AcademicPlan.objects.exists()

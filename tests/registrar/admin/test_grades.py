"""The grade queue (E3): counts, filter, reasons, and sending again."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from memora_site import registrar_alerts
from players import roles
from registrar import faults
from registrar.mirror.applying import apply_record
from registrar.models import Effect, GradePoll, MoodleGrade, SchoolClass, Student
from tests.registrar.admin.conftest import NOW

pytestmark = pytest.mark.django_db

LIST = "admin:registrar_moodlegrade_changelist"
COURSE, USER = 20, 30


@pytest.fixture
def registrar(client_of, staff):
    return client_of(staff(roles.REGISTRARS))


@pytest.fixture
def viewer(client_of, staff):
    return client_of(staff(roles.REGISTRAR_VIEWERS))


@pytest.fixture
def grades(student) -> dict[str, MoodleGrade]:
    """A grade in each state, by its state."""
    apply_record("BTEC_Classes", {"id": "88", "Class_Name": "Networks"}, read_at=NOW)
    SchoolClass.objects.update(moodle_id=COURSE)
    Student.objects.update(moodle_id=USER)
    found = {
        "waiting": make_grade(0),
        "basic_sent": make_grade(1, sent_version=1, sent_at=timezone.now()),
        "enriched": make_grade(
            2, sent_version=1, enriched_version=1, sent_at=timezone.now()
        ),
        "failed": make_grade(3),
        "no_student": make_grade(0, user_id=31),
        "no_class": make_grade(0, course_id=21),
    }
    add_effect(found["failed"], state="dead", last_error="Zoho refuses the grade.")
    return found


def make_grade(attempt, *, user_id=USER, course_id=COURSE, **values) -> MoodleGrade:
    return MoodleGrade.objects.create(
        composite_key=f"{course_id}-5-{user_id}-{attempt}",
        course_id=course_id,
        assignment_id=5,
        assignment_name=f"Task {attempt}",
        user_id=user_id,
        attempt=attempt,
        grade="P",
        changed_at=NOW,
        **values,
    )


def add_effect(grade: MoodleGrade, *, kind="grade", **values) -> Effect:
    return Effect.objects.create(
        kind=kind,
        peer="zoho",
        module="BTEC_Grades",
        record_id=grade.composite_key,
        version=grade.version,
        key=f"{kind} {grade.composite_key}",
        created_at=NOW,
        due_at=NOW,
        **values,
    )


def text_of(browser, name, *args, **query):
    answer = browser.get(reverse(name, args=args), query)
    assert answer.status_code == 200
    return answer.content.decode()


def keys_in(page: str) -> set[str]:
    keys = MoodleGrade.objects.values_list("composite_key", flat=True)
    return {key for key in keys if f"BTEC_Grades/{key}/" in page}


def test_a_state_has_its_count_and_its_filter(viewer, grades):
    counts = MoodleGrade.objects.count_states()
    assert counts == dict.fromkeys(grades, 1)
    page = text_of(viewer, LIST)
    assert keys_in(page) == {one.composite_key for one in grades.values()}
    for state, grade in grades.items():
        assert f'href="?state={state}"' in page
        found = text_of(viewer, LIST, state=state)
        assert keys_in(found) == {grade.composite_key}, state


def test_each_grade_says_why_zoho_lacks_it(viewer, grades):
    page = text_of(viewer, LIST)
    assert "Zoho refuses the grade." in page
    assert "No student in Zoho has this account of Moodle." in page
    assert "The class was deleted in Zoho." in page


def test_an_old_error_is_not_shown_of_a_grade_that_was_sent(viewer, grades):
    add_effect(grades["enriched"], state="dead", last_error="An old error.")
    assert "An old error." not in text_of(viewer, LIST, state="enriched")


def test_the_list_says_when_moodle_was_read_and_how_many_were_sent_today(
    viewer, grades
):
    GradePoll.objects.create(pk=1, last_error="Moodle is in maintenance.")
    page = " ".join(text_of(viewer, LIST).split())
    assert "Sent today: 2" in page
    assert "Moodle is in maintenance." in page


@pytest.mark.parametrize("chosen", ["one", "filtered"])
def test_failed_grades_are_sent_again(registrar, grades, chosen):
    failed = grades["failed"]
    if chosen == "one":
        url, rows = reverse(LIST), {"_selected_action": [failed.pk]}
    else:
        url = reverse(LIST) + "?state=failed"
        rows = {"_selected_action": [failed.pk], "select_across": "1"}
    answer = registrar.post(url, {"action": "send_again", **rows}, follow=True)
    assert "1 grade will be sent again" in answer.content.decode()
    effect = Effect.objects.get()
    assert (effect.state, effect.last_error) == ("pending", "")


def test_all_grades_are_sent_again_those_that_zoho_has_too(registrar, grades):
    for kind in ("grade", "criteria"):
        add_effect(grades["enriched"], kind=kind, state="done")
    registrar.post(
        reverse(LIST),
        {
            "action": "send_again",
            "_selected_action": [grades["failed"].pk],
            "select_across": "1",
        },
    )
    assert set(Effect.objects.values_list("state", flat=True)) == {"pending"}


def test_a_grade_that_was_not_tried_is_not_promised(registrar, grades):
    answer = registrar.post(
        reverse(LIST),
        {"action": "send_again", "_selected_action": [grades["no_student"].pk]},
        follow=True,
    )
    assert "No chosen grade has been tried yet" in answer.content.decode()


def test_a_viewer_sends_nothing_again(viewer, grades):
    page = text_of(viewer, LIST)
    assert 'value="send_again"' not in page
    viewer.post(
        reverse(LIST),
        {"action": "send_again", "_selected_action": [grades["failed"].pk]},
    )
    assert Effect.objects.get().state == "dead"


def test_support_does_not_see_the_queue(client_of, staff, grades):
    support = client_of(staff(roles.SUPPORT))
    assert support.get(reverse(LIST)).status_code == 403


def test_the_dashboard_counts_grades(viewer, grades):
    page = " ".join(text_of(viewer, "admin:registrar_dashboard").split())
    assert "Grades: to Zoho" in page
    assert '<p class="figure">2</p> <p>Sent today: 2</p>' in page
    assert "Without a student or class in Zoho: 2" in page


def test_a_student_s_timeline_has_their_grades(viewer, grades):
    page = text_of(viewer, "admin:registrar_timeline", "BTEC_Students", "77")
    assert "Grades in Moodle" in page
    assert grades["waiting"].composite_key in page
    assert grades["no_student"].composite_key not in page
    assert "Zoho refuses the grade." in page


def test_a_grade_has_one_timeline_by_its_key_and_by_its_id(viewer, grades):
    key = grades["failed"].composite_key
    page = text_of(viewer, "admin:registrar_timeline", "BTEC_Grades", key)
    assert "From Moodle to Zoho: failed." in page
    assert "Read from Zoho now" not in page
    record = {"id": "99", "Moodle_Grade_Composite_Key": key}
    apply_record("BTEC_Grades", record, read_at=NOW)
    for name in (key, "99"):
        page = text_of(viewer, "admin:registrar_timeline", "BTEC_Grades", name)
        assert "Zoho refuses the grade." in page


def test_a_grade_without_an_effect_has_a_timeline(viewer, grades):
    key = grades["no_student"].composite_key
    page = text_of(viewer, "admin:registrar_timeline", "BTEC_Grades", key)
    assert "From Moodle to Zoho: not a student in Zoho." in page


# --- Late polling ---------------------------------------------------------------------


def fault_keys(now):
    return {one.key for one in faults.load(now).faults}


@pytest.fixture
def moodle_is_on(settings):
    settings.MOODLE_URL, settings.MOODLE_TOKEN = "https://moodle.example", "token"


def test_grades_that_are_read_late_are_a_fault_with_a_runbook(moodle_is_on):
    poll = GradePoll.objects.create(pk=1, last_error="Moodle does not answer.")
    now = timezone.now()
    assert "grades_late" not in fault_keys(now)
    late = now + faults.GRADES_LATE + timedelta(minutes=1)
    [problem] = registrar_alerts.find(late)
    assert problem.key == "grades_late"
    assert "Moodle does not answer." in str(problem.message) % problem.values
    assert problem.values["runbook"] == "registrar-grades-late.md"
    GradePoll.objects.filter(pk=poll.pk).update(polled_at=late)
    assert registrar_alerts.find(late) == []


def test_the_metrics_say_how_long_ago_all_grades_were_read(moodle_is_on, client):
    name = "memora_registrar_grades_lag_seconds "
    poll = GradePoll.objects.create(pk=1)

    def values():
        lines = client.get("/metrics").content.decode().splitlines()
        return [float(one.removeprefix(name)) for one in lines if one.startswith(name)]

    assert values() == []
    ago = timezone.now() - timedelta(minutes=20)
    GradePoll.objects.filter(pk=poll.pk).update(polled_at=ago)
    [lag] = values()
    assert 1200 <= lag < 1260


def test_without_moodle_no_grade_is_late():
    GradePoll.objects.create(pk=1)
    assert fault_keys(timezone.now() + timedelta(days=1)) == set()

"""From a webhook to Moodle and back to Zoho, with the tasks as they run."""

import json
import random
from datetime import timedelta

import pytest
from django.utils import timezone

from registrar import checks, sources, tasks
from registrar.effects import handlers
from registrar.inbox import verifiers
from registrar.inbox.processing import process
from registrar.mapping.modules import MAPPINGS
from registrar.mirror.applying import apply_record
from registrar.models import Effect, GradePoll, Hint, MirrorRow, PeerState, Student
from registrar.moodle.client import MoodleSite
from registrar.sources import ZohoSource
from registrar.student_pages import access
from tests.commands import run_json
from tests.registrar.simulators import (
    moodle as moodle_simulator,
    zoho as zoho_simulator,
)
from tests.registrar.simulators.moodle_grading import add_assignment

KEY = "k" * 32
EVENTS = {
    "BTEC_Students": "student_updated",
    "BTEC_Registrations": "registration_created",
    "BTEC_Payments": "payment_recorded",
    "BTEC_Classes": "class_created",
    "BTEC_Enrollments": "enrollment_updated",
}


@pytest.fixture
def configured(settings, school):
    """The settings as an operator sets them."""
    settings.REGISTRAR_HEADER_KEYS = [KEY]
    settings.ZOHO_CLIENT_ID = zoho_simulator.CLIENT_ID
    settings.ZOHO_CLIENT_SECRET = zoho_simulator.CLIENT_SECRET
    settings.ZOHO_REFRESH_TOKEN = zoho_simulator.REFRESH_TOKEN
    settings.ZOHO_ACCOUNTS_URL = school.zoho.url
    settings.MOODLE_URL = school.moodle.url
    settings.MOODLE_TOKEN = moodle_simulator.TOKEN
    assert checks.check_settings() == []
    yield school
    sources.zoho_client().close()
    site = MoodleSite(url=school.moodle.url, token=moodle_simulator.TOKEN)
    handlers._client(site).close()
    for cached in (sources._client, handlers._client):
        cached.cache_clear()


@pytest.fixture
def hook(client):
    def hook(module: str, record: dict):
        return client.post(
            f"/api/v1/webhooks/student-dashboard/{EVENTS[module]}",
            json.dumps({"id": record["id"]}),
            "application/json",
            headers={verifiers.KEY_HEADER: KEY},
        )

    return hook


def test_a_webhook_reaches_moodle_and_the_id_zoho(
    configured, hook, django_capture_on_commit_callbacks
):
    record = configured.zoho.store.insert(
        "BTEC_Students",
        {"First_Name": "ليلى", "Last_Name": "H", "Academic_Email": "l@x.edu"},
    )
    with django_capture_on_commit_callbacks(execute=True):
        assert hook("BTEC_Students", record).status_code == 200
    [account] = configured.accounts(record["id"])
    assert configured.zoho.store.records["BTEC_Students"][record["id"]][
        "Student_Moodle_ID"
    ] == str(account["id"])


def test_a_change_in_zoho_is_on_the_students_profile(
    configured, hook, client, django_capture_on_commit_callbacks
):
    student = configured.student(City="Amman", National_Number="111")
    token, _expires = access.create_link(Student.objects.get(), now=timezone.now())
    client.post(f"/student/link/?token={token}")
    record = configured.zoho.store.update(
        "BTEC_Students", student, {"City": "نابلس", "National_Number": "987654321"}
    )
    with django_capture_on_commit_callbacks(execute=True):
        hook("BTEC_Students", record)
    profile = client.get("/student/").content.decode()
    assert ">نابلس<" in profile
    assert ">987654321<" in profile
    assert "Amman" not in profile


def test_the_periodic_task_does_what_no_webhook_has_announced(configured):
    configured.student()
    tasks.send_effects()
    assert Student.objects.get().moodle_id


def test_the_periodic_tasks_bring_a_grade_to_zoho(configured):
    student, made = configured.student(), configured.school_class()
    configured.enrolment(student, made)
    for _ in range(2):
        tasks.send_effects()
    user = configured.row("BTEC_Students", student).moodle_id
    course = configured.row("BTEC_Classes", made).moodle_id
    assignment = add_assignment(configured.moodle, course, name="Task", method="")
    configured.moodle.run(
        "mod_assign_save_grade",
        assignmentid=assignment,
        userid=user,
        grade=70,
        attemptnumber=-1,
        addattempt=False,
        workflowstate="",
        applytoall=True,
    )
    configured.moodle.maintenance = True
    tasks.poll_grades()
    assert PeerState.objects.get(peer="moodle").failures == 1
    configured.moodle.maintenance = False
    tasks.poll_grades()
    assert PeerState.objects.get(peer="moodle").failures == 0
    tasks.send_effects()
    [record] = configured.zoho.store.records["BTEC_Grades"].values()
    assert (record["Student"]["id"], record["Grade"]) == (student, "70")


def test_while_moodle_is_paused_no_grade_is_read(configured):
    PeerState.objects.create(
        peer="moodle", open_until=timezone.now() + timedelta(minutes=1)
    )
    configured.moodle.requests.clear()
    tasks.poll_grades()
    assert configured.moodle.requests == []


def test_without_peers_the_tasks_do_nothing(db, django_assert_num_queries):
    # The accounts, for Moodle and for Zoho, in each task.
    with django_assert_num_queries(4):
        tasks.send_effects()
        tasks.run_effects()
    tasks.poll_grades()
    assert not GradePoll.objects.exists()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"MOODLE_URL": "https://moodle.example.org"}, "registrar.E007"),
        (
            {"MOODLE_URL": "http://moodle.example.org", "MOODLE_TOKEN": "x"},
            "registrar.E008",
        ),
        ({"MOODLE_ROLES": [1]}, "registrar.E009"),
    ],
)
def test_settings_of_moodle_that_cannot_work_are_errors(settings, changes, expected):
    for name, value in changes.items():
        setattr(settings, name, value)
    assert [found.id for found in checks.check_settings()] == [expected]


def test_a_dead_effect_is_replayed(school):
    student = school.student(Academic_Email=None)
    school.run()
    Student.objects.update(academic_email="fixed@x.edu")
    assert run_json("replay_outbox", "--state", "dead")[0] == {"replayed": 1}
    school.run()
    assert len(school.accounts(student)) == 1


def test_the_outbox_is_in_the_metrics(configured, client):
    configured.student(Academic_Email=None)
    configured.run()
    page = client.get("/metrics").content.decode()
    assert 'memora_registrar_outbox{state="dead"} 1.0' in page


def values() -> dict:
    """All mapped values of all rows, and which of them were deleted."""
    return {
        module: {
            row.zoho_id: (mapping.values_of(row), row.deleted_at is not None)
            for row in mapping.model._default_manager.all()
        }
        for module, mapping in MAPPINGS.items()
    }


def make_school(store, chance: random.Random) -> list[tuple[str, dict]]:
    """Change records as a school would; return what is announced."""
    announced = []
    students, classes, registrations = [], [], []
    for number in range(12):
        announced.append(
            (
                "BTEC_Students",
                store.insert(
                    "BTEC_Students",
                    {
                        "First_Name": f"S{number}",
                        "Last_Name": "X",
                        "Academic_Email": f"s{number}@x.edu",
                    },
                ),
            )
        )
        students.append(announced[-1][1]["id"])
        registration = store.insert(
            "BTEC_Registrations", {"Student_ID": {"id": students[-1]}}
        )
        registrations.append(registration["id"])
        announced.append(("BTEC_Registrations", registration))
        announced.append(
            (
                "BTEC_Payments",
                store.insert(
                    "BTEC_Payments",
                    {
                        "Registration_ID": {"id": registrations[-1]},
                        "Payment_Amount": number + 0.5,
                    },
                ),
            )
        )
    for number in range(3):
        made = store.insert("BTEC_Classes", {"Class_Name": f"C{number}"})
        classes.append(made["id"])
        announced.append(("BTEC_Classes", made))
    for student in students:
        enrolment = store.insert(
            "BTEC_Enrollments",
            {
                "Enrolled_Students": {"id": student},
                "Classes": {"id": chance.choice(classes)},
                "Enrollment_Status": "Active",
            },
        )
        announced.append(("BTEC_Enrollments", enrolment))
        if chance.random() < 0.5:
            changed = store.update(
                "BTEC_Enrollments", enrolment["id"], {"Enrollment_Status": "Withdrawn"}
            )
            announced.append(("BTEC_Enrollments", changed))
    for student in chance.sample(students, 3):
        announced.append(("BTEC_Students", store.records["BTEC_Students"][student]))
        store.delete("BTEC_Students", student)
    return announced


@pytest.mark.parametrize("seed", [1, 2])
def test_hooks_in_random_order_with_faults_of_both_peers_end_as_a_full_sync(
    school, hook, settings, seed
):
    settings.REGISTRAR_HEADER_KEYS = [KEY]
    chance = random.Random(seed)
    announced = make_school(school.zoho.store, chance)
    hooks = announced * 3
    chance.shuffle(hooks)
    faults = {"drop_before": 0.05, "drop_after": 0.05, "status": 0.05}
    school.zoho.fail_at_random(faults, seed=seed)
    school.moodle.fail_at_random(faults, seed=seed + 1)
    source = ZohoSource(school.site.zoho)
    for number, (module, record) in enumerate(hooks):
        assert hook(module, record).status_code == 200
        if number % 10 == 0:
            process(source=source)
            school.run()
    school.zoho.recover()
    school.moodle.recover()
    school.zoho.refreshes = 0
    for _ in range(8):
        PeerState.objects.update(open_until=None)
        Hint.objects.filter(state__in=("pending", "running")).update(
            due_at=timezone.now()
        )
        while process(source=source).tried:
            pass
        school.run_later()
    assert not Hint.objects.exclude(state="done").exists()
    # Places of students whom Zoho no longer has wait for them.
    gone = {row["id"] for row in school.zoho.store.deleted["BTEC_Students"]}
    waiting = Effect.objects.exclude(state="done").values_list("kind", "waits_for")
    assert {kind for kind, _record in waiting} <= {"enrolment"}
    assert {one.partition(" ")[2] for _kind, one in waiting} <= gone
    after_hooks = values()
    for module in MAPPINGS:
        for record in school.zoho.store.records[module].values():
            later = timezone.now() + timedelta(seconds=1)
            apply_record(module, record, read_at=later)
    assert values() == after_hooks
    for module in ("BTEC_Students", "BTEC_Classes"):
        for record_id in school.zoho.store.records[module]:
            found = school.accounts(record_id) + school.courses(record_id)
            assert len(found) == 1, (module, record_id)
            row: MirrorRow = school.row(module, record_id)
            assert row.version == row.pushed_version

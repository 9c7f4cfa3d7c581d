"""Reconciliation shows each difference, and repairs only what is not too much."""

from datetime import timedelta

import pytest
from django.core.management import CommandError
from django.utils import timezone

from registrar import reconciling, sources, tasks
from registrar.mirror.applying import apply_record
from registrar.models import Enrolment, PeerState, Program, Student, Unit
from registrar.peers.errors import PeerUnavailableError
from registrar.reconciling import apply_changes, apply_deletions, reconcile_module
from registrar.sources import ZohoSource
from tests.commands import run, run_json

pytestmark = pytest.mark.django_db

STUDENTS = "BTEC_Students"


@pytest.fixture
def source(crm, monkeypatch) -> ZohoSource:
    source = ZohoSource(crm)
    monkeypatch.setattr(sources, "current", lambda: source)
    return source


@pytest.fixture
def students(zoho, source) -> list[str]:
    """Thirty students, mirrored."""
    ids = [
        zoho.store.insert(STUDENTS, {"City": "Amman", "First_Name": f"S{number}"})["id"]
        for number in range(30)
    ]
    reconcile_module(source=source, module=STUDENTS, apply=True)
    return ids


@pytest.fixture
def drift(zoho, students) -> dict[str, str]:
    """A new student, a changed one, a deleted one, and one changed here."""
    zoho.store.update(STUDENTS, students[0], {"City": "Irbid"})
    zoho.store.delete(STUDENTS, students[1])
    Student.objects.filter(zoho_id=students[2]).update(city="Nowhere", mapped_hash="x")
    new = zoho.store.insert(STUDENTS, {"City": "Zarqa"})["id"]
    return {
        "changed": students[0],
        "gone": students[1],
        "spoiled": students[2],
        "new": new,
    }


def drift_of(report) -> list:
    return [*report.new, *report.changed, *report.gone]


def rows() -> list[tuple]:
    return list(Student.objects.order_by("pk").values_list())


def test_a_full_comparison_fills_an_empty_mirror(zoho, source, students):
    assert Student.objects.count() == 30
    report = reconcile_module(source=source, module=STUDENTS, apply=True)
    assert (report.read, drift_of(report), report.applied) == (30, [], [])


def test_a_dry_run_lists_the_drift_and_writes_nothing(drift):
    before = rows()
    answer, code = run_json("reconcile_registrar", "--module", STUDENTS, "--dry-run")
    assert (rows(), code) == (before, 0)
    [report] = answer["modules"]
    assert report["new"] == [drift["new"]]
    assert report["gone"] == [drift["gone"]]
    assert {
        (one["record_id"], one["column"], one["here"], one["in_zoho"])
        for one in report["changed"]
    } == {
        (drift["changed"], "city", "Amman", "Irbid"),
        (drift["spoiled"], "city", "Nowhere", "Amman"),
    }


def test_apply_repairs_the_drift(drift):
    answer, code = run_json("reconcile_registrar", "--module", STUDENTS, "--apply")
    assert code == 0
    assert len(answer["modules"][0]["applied"]) == 4
    cities = dict(Student.objects.values_list("zoho_id", "city"))
    assert cities[drift["changed"]] == "Irbid"
    assert cities[drift["spoiled"]] == "Amman"
    assert cities[drift["new"]] == "Zarqa"
    assert Student.objects.get(zoho_id=drift["gone"]).status == "Deleted"
    again, _code = run_json("reconcile_registrar", "--module", STUDENTS)
    assert not any(again["modules"][0][name] for name in ("new", "changed", "gone"))


def test_the_lines_for_people_name_each_difference(drift):
    page = run("reconcile_registrar", "--module", STUDENTS)
    assert f"{drift['changed']} city: 'Amman' → 'Irbid'" in page
    assert f"{drift['gone']} is no longer in Zoho." in page
    assert "30 read, 1 new, 2 changed, 1 deleted, 0 repaired." in page


def test_a_half_empty_answer_deletes_nobody_and_asks(zoho, source, students):
    zoho.hidden.update(students[:25])
    with pytest.raises(CommandError):
        run("reconcile_registrar", "--module", STUDENTS, "--apply")
    assert not Student.objects.exclude(deleted_at=None).exists()


def test_records_that_a_list_left_out_are_asked_for_before_a_deletion(
    zoho, source, students
):
    zoho.hidden.update(students[:25])
    report = reconcile_module(
        source=source, module=STUDENTS, apply=True, permit_many=True
    )
    assert report.gone == []
    assert not Student.objects.exclude(deleted_at=None).exists()


def test_many_changes_are_applied_when_a_person_permits_them(zoho, source, students):
    for student in students[:25]:
        zoho.store.delete(STUDENTS, student)
    stopped = reconcile_module(source=source, module=STUDENTS, apply=True)
    assert (stopped.stopped, stopped.applied) == (True, [])
    run("reconcile_registrar", "--module", STUDENTS, "--apply", "--permit-many")
    assert Student.objects.exclude(deleted_at=None).count() == 25


def test_a_record_that_appears_twice_in_the_pages_counts_once(zoho, source):
    for number in range(210):
        zoho.store.insert("BTEC_Units", {"Name": f"U{number}"})
    zoho.repeats_rows = True
    report = reconcile_module(source=source, module="BTEC_Units", apply=True)
    assert (report.read, Unit.objects.count()) == (210, 210)


def test_a_row_that_the_inbox_has_changed_meanwhile_stays(zoho, source, students):
    newer = zoho.store.records[STUDENTS][students[0]] | {"City": "Newer"}

    def pages(*, module, since=None):
        for records in ZohoSource.pages(source, module=module, since=since):
            apply_record(module, newer, read_at=timezone.now() + timedelta(seconds=5))
            yield records

    source.pages = pages
    Student.objects.filter(zoho_id=students[0]).update(city="Older")
    reconcile_module(source=source, module=STUDENTS, apply=True)
    assert Student.objects.get(zoho_id=students[0]).city == "Newer"


def test_an_unknown_choice_is_no_difference(zoho, source):
    student = zoho.store.insert(STUDENTS, {})
    made = zoho.store.insert("BTEC_Classes", {})
    enrolment = zoho.store.insert(
        "BTEC_Enrollments",
        {
            "Enrolled_Students": {"id": student["id"]},
            "Classes": {"id": made["id"]},
            "Enrollment_Status": "Active",
        },
    )
    reconcile_module(source=source, module="BTEC_Enrollments", apply=True)
    zoho.store.records["BTEC_Enrollments"][enrolment["id"]]["Enrollment_Status"] = "?"
    report = reconcile_module(source=source, module="BTEC_Enrollments", apply=True)
    assert drift_of(report) == []
    assert Enrolment.objects.get().status == "Active"


def test_a_page_that_cannot_be_read_applies_nothing(zoho, source, drift):
    before = rows()
    zoho.fail("status", times=1000)
    with pytest.raises(PeerUnavailableError):
        reconcile_module(source=source, module=STUDENTS, apply=True)
    assert rows() == before
    answer, code = run_json("reconcile_registrar", "--module", STUDENTS, "--apply")
    assert code == 1
    assert answer["errors"] == {STUDENTS: "The system does not answer."}


def test_without_an_account_there_is_nothing_to_compare():
    with pytest.raises(CommandError, match="not configured"):
        run("reconcile_registrar")


def test_changes_that_nothing_has_announced_are_read_every_quarter_hour(
    zoho, source, students
):
    zoho.store.now = lambda: timezone.now() + timedelta(hours=1)
    zoho.store.update(STUDENTS, students[3], {"City": "Salt"})
    new = zoho.store.insert("Products", {"Product_Name": "BTEC IT"})
    assert apply_changes(source=source, module=STUDENTS) == [(STUDENTS, students[3])]
    tasks.read_changes()
    assert Program.objects.get().zoho_id == new["id"]


def test_the_nightly_task_repairs_every_module(zoho, source, drift):
    tasks.reconcile()
    assert Student.objects.get(zoho_id=drift["changed"]).city == "Irbid"
    assert Student.objects.get(zoho_id=drift["gone"]).deleted_at is not None


def test_a_comparison_takes_one_query_for_each_page(
    zoho, source, students, django_assert_num_queries
):
    # The number of rows, the rows of the page, the rows that were not seen.
    with django_assert_num_queries(3):
        reconcile_module(source=source, module=STUDENTS, apply=False)


# --- Deletions that nothing has announced ---------------------------------------------


def deletion_calls(zoho) -> int:
    return sum(one.path.endswith(f"/{STUDENTS}/deleted") for one in zoho.requests)


def test_a_deletion_that_nothing_has_announced_is_read_every_quarter_hour(
    zoho, source, students
):
    zoho.store.delete(STUDENTS, students[0])
    tasks.read_changes()
    gone = Student.objects.exclude(deleted_at=None).get()
    assert (gone.zoho_id, gone.status) == (students[0], "Deleted")
    assert deletion_calls(zoho) == 1
    assert apply_deletions(source=source, module=STUDENTS) == []


def test_a_record_that_was_restored_in_zoho_stays(zoho, source, students):
    record = dict(zoho.store.records[STUDENTS][students[0]])
    zoho.store.delete(STUDENTS, students[0])
    zoho.store.records[STUDENTS][students[0]] = record
    assert apply_deletions(source=source, module=STUDENTS) == []
    assert not Student.objects.exclude(deleted_at=None).exists()


def test_a_listed_record_that_lists_hide_is_asked_for_by_id(zoho, source, students):
    record = dict(zoho.store.records[STUDENTS][students[0]])
    zoho.store.delete(STUDENTS, students[0])
    zoho.store.records[STUDENTS][students[0]] = record
    zoho.hidden = set(students)
    assert apply_deletions(source=source, module=STUDENTS) == []


def test_more_deletions_than_a_page_are_applied_once(zoho, source):
    ids = [zoho.store.insert("BTEC_Units", {"Name": "U"})["id"] for _ in range(210)]
    reconcile_module(source=source, module="BTEC_Units", apply=True)
    for record_id in ids:
        zoho.store.delete("BTEC_Units", record_id)
    changed = apply_deletions(source=source, module="BTEC_Units")
    assert sorted(changed) == sorted(("BTEC_Units", one) for one in ids)
    assert not Unit.objects.filter(deleted_at=None).exists()


def test_a_deletion_of_an_earlier_day_is_left_to_the_night(zoho, source, students):
    zoho.store.now = lambda: timezone.now() - timedelta(days=2)
    zoho.store.delete(STUDENTS, students[0])
    assert apply_deletions(source=source, module=STUDENTS) == []
    assert reconcile_module(source=source, module=STUDENTS, apply=True).gone


def test_a_module_without_rows_costs_no_call(zoho, source):
    zoho.store.insert(STUDENTS, {})
    assert apply_deletions(source=source, module=STUDENTS) == []
    assert deletion_calls(zoho) == 0


def test_deletions_are_applied_after_zoho_was_away(zoho, source, students):
    zoho.store.delete(STUDENTS, students[0])
    zoho.fail("status", times=1000, matches=lambda one: one.path.endswith("/deleted"))
    with pytest.raises(PeerUnavailableError):
        apply_deletions(source=source, module=STUDENTS)
    tasks.read_changes()
    assert not Student.objects.exclude(deleted_at=None).exists()
    zoho._faults.clear()
    PeerState.objects.update(open_until=None)
    tasks.read_changes()
    assert Student.objects.exclude(deleted_at=None).get().zoho_id == students[0]


def test_killed_between_two_deletions_the_second_is_applied_later(
    zoho, source, students, monkeypatch
):
    for record_id in students[:2]:
        zoho.store.delete(STUDENTS, record_id)
    real, calls = reconciling.apply_deletion, []

    def die_at_the_second(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(reconciling, "apply_deletion", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        apply_deletions(source=source, module=STUDENTS)
    monkeypatch.undo()
    assert Student.objects.exclude(deleted_at=None).count() == 1
    assert len(apply_deletions(source=ZohoSource(source.client), module=STUDENTS)) == 1
    assert Student.objects.exclude(deleted_at=None).count() == 2

"""Records of Zoho in any order and number leave the mirror with the newest copy."""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from registrar.mapping.modules import MAPPINGS
from registrar.mirror import applying
from registrar.mirror.applying import (
    apply_deletion,
    apply_record,
    apply_records,
    remember_moodle_id,
)
from registrar.mirror.decisions import Outcome
from registrar.models import (
    Conflict,
    Enrolment,
    Payment,
    Registration,
    SchoolClass,
    Student,
    StudentRequest,
)

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def student(at: float = 0, **values):
    return {
        "id": "9001",
        "First_Name": "ليلى",
        "Last_Name": "Haddad",
        "City": "Amman",
        "Modified_Time": later(at).isoformat(),
        "Created_Time": "2026-01-01T10:00:00+03:00",
        **values,
    }


def enrolment(at: float = 0, **values):
    return {
        "id": "7001",
        "Enrolled_Students": {"name": "ليلى", "id": "9001"},
        "Classes": {"name": "B1", "id": "6001"},
        "Enrollment_Status": "Active",
        "Modified_Time": later(at).isoformat(),
        **values,
    }


def apply(module, record, at: float = 1000):
    return apply_record(module, record, read_at=later(at))


def test_a_new_record_becomes_a_row_with_its_names_as_sent():
    record = student(First_Name=" ليلى ", Birth_Date="2008-02-29")
    assert apply("BTEC_Students", record).outcome == Outcome.CREATED
    row = Student.objects.get(zoho_id="9001")
    assert (row.first_name, row.last_name) == (" ليلى ", "Haddad")
    assert row.birth_date == date(2008, 2, 29)
    assert row.created_time == datetime(2026, 1, 1, 7, tzinfo=UTC)
    assert row.modified_time == NOON


def test_an_id_is_exact():
    apply("BTEC_Students", student(id="abc"))
    apply("BTEC_Students", student(id="ABC"))
    assert Student.objects.count() == 2


def test_a_changed_field_is_updated_and_counted():
    apply("BTEC_Students", student())
    found = apply("BTEC_Students", student(1, City="Irbid"))
    assert (found.outcome, found.fields) == (Outcome.UPDATED, ("city",))
    row = Student.objects.get()
    assert (row.city, row.version) == ("Irbid", 2)


def test_the_same_record_ten_times_has_one_effect():
    outcomes = [apply("BTEC_Students", student()).outcome for _ in range(10)]
    assert outcomes == [Outcome.CREATED] + [Outcome.UNCHANGED] * 9
    assert Student.objects.get().version == 1


def test_an_older_record_changes_nothing():
    apply("BTEC_Students", student(10, City="Irbid"))
    assert apply("BTEC_Students", student(5, City="Aqaba"), 2000).outcome == "stale"
    assert Student.objects.get().city == "Irbid"


def test_of_two_copies_of_the_same_second_the_one_read_later_counts():
    apply("BTEC_Students", student(City="Irbid"), 20)
    assert apply("BTEC_Students", student(City="Aqaba"), 10).outcome == "stale"
    assert apply("BTEC_Students", student(City="Zarqa"), 30).outcome == "updated"


def test_a_change_of_a_field_that_is_not_mirrored_moves_only_the_time():
    apply("BTEC_Students", student())
    found = apply("BTEC_Students", student(9, Owner={"id": "1"}))
    assert found.outcome == Outcome.UNCHANGED
    row = Student.objects.get()
    assert (row.version, row.modified_time) == (1, later(9))


def test_a_field_that_the_record_lacks_keeps_its_value_and_null_empties_it():
    apply("BTEC_Students", student())
    record = student(1, Last_Name=None)
    del record["City"]
    apply("BTEC_Students", record)
    row = Student.objects.get()
    assert (row.city, row.last_name) == ("Amman", "")


def test_an_unknown_choice_is_a_conflict_and_keeps_the_enrolment():
    apply("BTEC_Enrollments", enrolment())
    found = apply("BTEC_Enrollments", enrolment(1, Enrollment_Status="Frozen"))
    assert found.conflicts == ("Enrollment_Status",)
    row = Enrolment.objects.get()
    assert (row.status, row.deleted_at, row.has_conflict) == ("Active", None, True)
    conflict = Conflict.objects.get()
    assert (conflict.api_name, conflict.value) == ("Enrollment_Status", "Frozen")
    assert conflict.reason == "choice"
    assert "Enrollment_Status" in found.reason


def test_a_conflict_ends_with_a_value_that_is_understood():
    apply("BTEC_Enrollments", enrolment(Enrollment_Status="Frozen"))
    apply("BTEC_Enrollments", enrolment(1, Enrollment_Status="Frozen"))
    assert Conflict.objects.count() == 1
    apply("BTEC_Enrollments", enrolment(2, Enrollment_Status="Withdrawn"))
    assert not Conflict.objects.exists()
    assert Enrolment.objects.get().has_conflict is False


def test_an_amount_is_exact_and_never_rounded():
    record = {"id": "1", "Total_Fees": 1250.1, "Paid_Amount": 0.1, "Currency": "JOD"}
    apply("BTEC_Registrations", record)
    row = Registration.objects.get()
    assert (row.total_fees, row.paid_amount) == (Decimal("1250.1"), Decimal("0.1"))
    apply("BTEC_Registrations", record | {"Paid_Amount": 0.1234})
    assert Registration.objects.get().paid_amount == Decimal("0.1")
    assert Conflict.objects.get().reason == "decimals"


def test_the_same_amount_in_another_notation_is_no_change():
    apply("BTEC_Payments", {"id": "1", "Payment_Amount": 50})
    assert apply("BTEC_Payments", {"id": "1", "Payment_Amount": "50.0"}).fields == ()
    assert Payment.objects.get().version == 1


def test_a_child_before_its_parents_names_them_and_is_kept():
    found = apply("BTEC_Enrollments", enrolment())
    assert found.missing == (("BTEC_Students", "9001"), ("BTEC_Classes", "6001"))
    apply("BTEC_Students", student())
    apply("BTEC_Classes", {"id": "6001", "Class_Name": "B1"})
    assert Enrolment.objects.get().student == Student.objects.get()
    assert SchoolClass.objects.get().enrolments.get() == Enrolment.objects.get()
    assert apply("BTEC_Enrollments", enrolment()).missing == ()


@pytest.mark.parametrize(
    ("module", "column", "status"),
    [
        ("BTEC_Students", "status", "Deleted"),
        ("BTEC_Registrations", "status", "Cancelled"),
        ("BTEC_Classes", "status", "Cancelled"),
        ("BTEC_Enrollments", "status", "Withdrawn"),
        ("BTEC_Payments", "status", "Voided"),
    ],
)
def test_a_deletion_keeps_the_row_with_its_final_status(module, column, status):
    apply(module, {"id": "1", "Modified_Time": NOON.isoformat()}, 10)
    found = apply_deletion(module, "1", read_at=later(20))
    assert found.outcome == Outcome.DELETED
    row = MAPPINGS[module].model.objects.get()
    assert (getattr(row, column), row.deleted_at) == (status, later(20))
    again = apply_deletion(module, "1", read_at=later(30))
    assert again.outcome == Outcome.UNCHANGED


def test_a_copy_read_before_the_deletion_does_not_restore_the_record():
    apply("BTEC_Students", student(), 10)
    apply_deletion("BTEC_Students", "9001", read_at=later(30))
    assert apply("BTEC_Students", student(5, City="Irbid"), 20).outcome == "stale"
    assert Student.objects.get().status == "Deleted"


def test_a_deletion_noticed_before_the_copy_was_read_deletes_nothing():
    apply("BTEC_Students", student(), 30)
    found = apply_deletion("BTEC_Students", "9001", read_at=later(20))
    assert found.outcome == Outcome.STALE
    assert Student.objects.get().deleted_at is None


def test_a_record_restored_from_the_recycle_bin_is_restored_here():
    payment = {"id": "1", "Payment_Amount": 5, "Modified_Time": NOON.isoformat()}
    apply("BTEC_Payments", payment, 10)
    apply_deletion("BTEC_Payments", "1", read_at=later(20))
    assert apply("BTEC_Payments", payment, 30).outcome == Outcome.RESTORED
    row = Payment.objects.get()
    assert (row.deleted_at, row.status, row.version) == (None, "", 3)


def test_a_deletion_of_a_record_that_nobody_has_is_no_error():
    found = apply_deletion("BTEC_Students", "404", read_at=NOON)
    assert found.outcome == Outcome.UNKNOWN


def test_the_notification_of_our_own_write_back_changes_nothing():
    apply("BTEC_Students", student())
    remember_moodle_id(Student.objects.get(), "55")
    found = apply("BTEC_Students", student(9, Student_Moodle_ID="55"))
    assert found.outcome == Outcome.UNCHANGED
    row = Student.objects.get()
    assert (row.crm_moodle_id, row.version) == ("55", 1)


def test_classes_to_drop_are_read_from_linking_rows():
    rows = [
        {"id": "1", "Class_Drop_Classes": {"name": "A", "id": "6001"}},
        {"id": "2", "Class_Drop_Classes": {"name": "B", "id": "6002"}},
    ]
    apply("BTEC_Student_Requests", {"id": "1", "Class_Drop_Classes": rows})
    assert StudentRequest.objects.get().class_ids == ["6001", "6002"]


def test_a_record_without_an_id_is_refused():
    with pytest.raises(ValueError, match="id"):
        apply("BTEC_Students", {"First_Name": "x"})


def test_every_order_of_a_records_copies_ends_in_the_newest():
    copies = [student(at, City=f"City {at}") for at in range(12)]
    for seed in range(20):
        Student.objects.all().delete()
        order = copies * 3
        random.Random(seed).shuffle(order)
        for read, record in enumerate(order):
            apply("BTEC_Students", record, read)
        row = Student.objects.get()
        assert (row.city, row.modified_time) == ("City 11", later(11))


def test_an_unchanged_record_takes_a_fixed_number_of_queries():
    apply("BTEC_Enrollments", enrolment())
    apply("BTEC_Students", student())
    apply("BTEC_Classes", {"id": "6001"})
    # Savepoint and its release, the row, its lock, the update, both parents.
    with CaptureQueriesContext(connection) as queries:
        apply("BTEC_Enrollments", enrolment())
    assert len(queries) == 7, [one["sql"] for one in queries]


# --- A page of records ----------------------------------------------------------------


def everything() -> list[list[tuple]]:
    """All rows of the mirror and all conflicts, without their keys."""
    tables = [*(one.model for one in MAPPINGS.values()), Conflict]
    return [
        list(
            table._default_manager.order_by(*order).values_list(
                *(
                    one.attname
                    for one in table._meta.concrete_fields
                    if one.name != "id"
                )
            )
        )
        for table in tables
        for order in (["record_id", "api_name"] if table is Conflict else ["zoho_id"],)
    ]


def random_pages(chance: random.Random) -> list[tuple[str, list[dict], float]]:
    """Pages of two modules: module, records, seconds after noon at which it was read."""
    found = []
    for read in range(12):
        pages = {"BTEC_Enrollments": [], "BTEC_Students": []}
        for _ in range(8):
            at = chance.randrange(20)
            status = chance.choice(["Active", "Withdrawn", "Frozen", None])
            record = enrolment(
                at, id=str(chance.randrange(5)), Enrollment_Status=status
            )
            pages["BTEC_Enrollments"].append(record)
            record = student(at, id=str(9000 + chance.randrange(4)))
            record["City"] = chance.choice(["Amman", "Irbid", "x" * 300])
            if chance.random() < 0.2:
                del record["Modified_Time"]
            pages["BTEC_Students"].append(record)
        found += [(module, page, read * 10) for module, page in pages.items()]
    return found


@pytest.mark.parametrize("seed", range(8))
def test_pages_end_in_the_state_of_their_records_one_by_one(seed):
    def run(apply_page) -> tuple[list, list]:
        decisions = []
        for number, (module, page, at) in enumerate(random_pages(random.Random(seed))):
            decisions += apply_page(module, page, later(at))
            gone = page[number % 8]["id"]
            decisions.append(apply_deletion(module, gone, read_at=later(at + 1)))
            if number == 12:
                Student.objects.update(city="Spoiled")
        return decisions, everything()

    def one_by_one(module, page, read_at):
        return [apply_record(module, one, read_at=read_at) for one in page]

    expected = run(one_by_one)
    for mapping in MAPPINGS.values():
        mapping.model._default_manager.all().delete()
    Conflict.objects.all().delete()
    found = run(lambda module, page, at: apply_records(module, page, read_at=at))
    assert found == expected


def test_a_page_takes_a_fixed_number_of_queries():
    page = [enrolment(id=str(number)) for number in range(50)]
    # Savepoint and its release, the rows, the insert, the parents in two modules.
    with CaptureQueriesContext(connection) as queries:
        apply_records("BTEC_Enrollments", page, read_at=later(0))
    assert len(queries) == 6, [one["sql"] for one in queries]
    page[7] = enrolment(1, id="7", Enrollment_Status="Withdrawn")
    # Savepoint and its release, the rows, the changed row, the others, the parents.
    with CaptureQueriesContext(connection) as queries:
        apply_records("BTEC_Enrollments", page, read_at=later(10))
    assert len(queries) == 7, [one["sql"] for one in queries]
    assert set(Enrolment.objects.values_list("read_at", flat=True)) == {later(10)}


def test_a_page_that_the_database_refuses_is_applied_one_by_one(monkeypatch):
    def insert_first(mapping, record):
        # Another process inserts the row, after this one has looked for it.
        if not Student.objects.filter(zoho_id=record["id"]).exists():
            Student.objects.create(zoho_id=record["id"], read_at=NOON)
        return convert(mapping, record)

    convert = applying.convert
    monkeypatch.setattr(applying, "convert", insert_first)
    page = [student(id="1"), student(id="2")]
    found = apply_records("BTEC_Students", page, read_at=later(0))
    assert [one.outcome for one in found] == [Outcome.CREATED] * 2
    assert Student.objects.filter(city="Amman").count() == 2

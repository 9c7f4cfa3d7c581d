"""Importing students from a spreadsheet: previews, runs, and what they refuse."""

import uuid

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from core.spreadsheets.files import SheetError, as_csv, as_xlsx
from plans.models import AcademicPlan, Grade
from players.models import (
    Device,
    Enrollment,
    Entitlement,
    ImportStatus,
    PlayerProfile,
    SecurityEvent,
    StudentImport,
    StudyGroup,
    User,
)
from players.services import import_runs, student_import, student_sheet
from players.services.import_runs import ImportExpiredError

pytestmark = pytest.mark.django_db

HEADER = [
    *("school number", "e-mail", "name", "password", "grade", "group", "plans"),
    *("products", "until", "phone", "devices"),
]
DEVICE = "7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e"
HUDA = [
    *("S-1", "Huda@School.example", "Huda", "a-good-password-7", "Grade 5"),
    *("5 A; Chess", "Grade 5", "MATHS-5;ART", "2027-06-30", "+964 770 123", DEVICE),
]


@pytest.fixture
def grade(db):
    return Grade.objects.create(title="Grade 5")


def csv(*rows, header=HEADER):
    return as_csv([list(header), *map(list, rows)])


def previewed(data, owner, name="students.csv"):
    return import_runs.preview(data, name, owner_id=owner.pk)


def imported(data, owner, name="students.csv"):
    found = previewed(data, owner, name)
    import_runs.confirm(found.run.pk, key=found.key, owner_id=owner.pk)
    import_runs.run(found.run.pk, key=found.key, language="en")
    found.run.refresh_from_db()
    return found.run


def results(run):
    return run.created, run.updated, run.unchanged, run.refused_rows


def test_a_row_creates_a_student_with_everything(plan, grade, manager):
    run = imported(csv(HUDA), manager)
    assert results(run) == (1, 0, 0, 0)
    player = PlayerProfile.objects.get(school_number="S-1")
    user = player.user
    assert (user.email, user.full_name) == ("huda@school.example", "Huda")
    assert user.check_password("a-good-password-7")
    assert (player.grade, player.active_plan, player.phone) == (
        grade,
        plan,
        "+964770123",
    )
    ends = {row.item: row.valid_until.date() for row in Entitlement.objects.all()}
    assert {item: str(day) for item, day in ends.items()} == {
        "ART": "2027-07-01",
        "MATHS-5": "2027-07-01",
    }
    names = StudyGroup.objects.filter(memberships__player=player)
    assert set(names.values_list("name", flat=True)) == {"5 A", "Chess"}
    assert str(Device.objects.get(player=player).device_id) == DEVICE
    event = SecurityEvent.objects.get(type="enrollment_added")
    assert (event.user_id, event.actor_id) == (user.pk, manager.pk)
    assert player.wallet.total_xp == 0


def test_the_same_file_again_changes_nothing(plan, grade, manager):
    imported(csv(HUDA), manager)
    events = SecurityEvent.objects.count()
    assert results(imported(csv(HUDA), manager)) == (0, 0, 1, 0)
    assert SecurityEvent.objects.count() == events


def test_a_student_is_found_by_number_or_by_e_mail(plan, grade, manager):
    imported(csv(HUDA), manager)
    header = ["school number", "email", "name"]
    moved = csv(["S-1", "new@school.example", "Huda K"], header=header)
    assert results(imported(moved, manager)) == (0, 1, 0, 0)
    player = PlayerProfile.objects.get()
    assert (player.user.email, player.user.full_name) == (
        "new@school.example",
        "Huda K",
    )
    renumbered = csv(["S-2", "new@school.example", ""], header=header)
    assert results(imported(renumbered, manager)) == (0, 1, 0, 0)
    player.refresh_from_db()
    assert (player.school_number, player.user.full_name) == ("S-2", "Huda K")


def test_headers_are_arabic_or_english_and_a_workbook_is_read(manager, plan):
    rows = [
        ["الرقم المدرسي", "البريد الإلكتروني", "الاسم"],
        ["٧", "a@b.example", "هدى"],
    ]
    data = as_xlsx(rows, title="Students", widths=(9, 9, 9))
    assert results(imported(data, manager, "students.xlsx")) == (1, 0, 0, 0)
    player = PlayerProfile.objects.get()
    assert (player.school_number, player.user.full_name) == ("7", "هدى")
    assert not player.user.has_usable_password()


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("e-mail", "", "A new student needs an e-mail address."),
        ("e-mail", "no address", "Enter a valid email address."),
        ("e-mail", "mona@school.example", "no student's"),
        ("password", "123", "too short"),
        ("grade", "Grade 9", "There is no grade “Grade 9”."),
        ("plans", "Grade 9", "There is no plan “Grade 9”."),
        ("products", "no spaces", "A product code can contain only"),
        ("until", "30.6.", "Enter a date"),
        ("phone", "call me", "Enter a phone number"),
        ("devices", "7", "must be a UUID"),
        ("devices", "; ".join(str(uuid.uuid4()) for _ in "abc"), "at most two devices"),
        ("school number", "x" * 33, "At most 32 characters."),
    ],
)
def test_a_bad_cell_refuses_its_row_with_the_reason_and_no_other(
    plan, grade, manager, column, value, said
):
    bad = dict(zip(HEADER, HUDA, strict=True)) | {column: value}
    good = ["", "badr@school.example", "Badr", *[""] * 8]
    run = imported(csv(bad.values(), good), manager)
    assert results(run) == (1, 0, 0, 1)
    row, _column, reason = run.refused[0]
    assert row == 2
    assert said in reason
    assert PlayerProfile.objects.get().user.email == "badr@school.example"


def test_a_student_twice_in_a_file_is_refused_the_second_time(manager):
    data = csv(["a@b.example", "A"], ["A@b.example", "B"], header=["email", "name"])
    run = imported(data, manager)
    assert results(run) == (1, 0, 0, 1)
    assert run.refused == [[3, "e-mail", "Row 2 is about the same student."]]


def test_a_number_and_an_address_of_two_students_are_refused(manager, student):
    first = csv(["S-1", "a@b.example"], header=["school number", "email"])
    imported(first, manager)
    both = csv(["S-1", student.user.email], header=["school number", "email"])
    (row, _column, reason) = imported(both, manager).refused[0]
    assert (row, "two different students" in reason) == (2, True)


def test_a_preview_changes_nothing_and_stores_no_password(plan, grade, manager):
    found = previewed(csv(HUDA), manager)
    assert [one.kind for one in found.outcomes] == [student_import.CREATED]
    assert found.new_groups == ["5 A", "Chess"]
    assert not PlayerProfile.objects.exists()
    stored = str(list(StudentImport.objects.values()))
    assert "a-good-password-7" not in stored
    assert found.key not in stored
    run = imported(csv(HUDA), manager)
    assert (bytes(run.data), run.digests) == (b"", [])


def test_a_row_that_differs_from_the_preview_is_refused(plan, grade, manager):
    found = previewed(csv(HUDA), manager)
    User.objects.create_user("huda@school.example", "a-good-password-7")
    import_runs.confirm(found.run.pk, key=found.key, owner_id=manager.pk)
    import_runs.run(found.run.pk, key=found.key, language="en")
    found.run.refresh_from_db()
    assert results(found.run) == (0, 0, 0, 1)
    assert "changed since the preview" in found.run.refused[0][2]


def test_a_batch_that_collides_is_imported_row_by_row(manager, monkeypatch):
    """Another transaction creates the second student at the same time."""
    real = student_import.apply

    def collide(outcomes, hashed):
        if any(one.row == 3 for one in outcomes):
            raise IntegrityError
        real(outcomes, hashed)

    found = previewed(
        csv(*(["a@b.example"], ["b@b.example"], ["c@b.example"]), header=["email"]),
        manager,
    )
    monkeypatch.setattr(student_import, "apply", collide)
    import_runs.confirm(found.run.pk, key=found.key, owner_id=manager.pk)
    import_runs.run(found.run.pk, key=found.key, language="en")
    found.run.refresh_from_db()
    assert results(found.run) == (2, 0, 0, 1)
    emails = User.objects.filter(player__isnull=False).values_list("email", flat=True)
    assert set(emails) == {"a@b.example", "c@b.example"}


def test_an_import_is_started_once_by_its_owner_with_its_key(plan, manager, support):
    found = previewed(csv(["a@b.example"], header=["email"]), manager)
    for given in (
        {"key": found.key, "owner_id": support.pk},
        {"key": "wrong", "owner_id": manager.pk},
    ):
        with pytest.raises(ImportExpiredError):
            import_runs.confirm(found.run.pk, **given)
    import_runs.confirm(found.run.pk, key=found.key, owner_id=manager.pk)
    with pytest.raises(ImportExpiredError):
        import_runs.confirm(found.run.pk, key=found.key, owner_id=manager.pk)
    import_runs.run(found.run.pk, key=found.key, language="en")
    import_runs.run(found.run.pk, key=found.key, language="en")
    found.run.refresh_from_db()
    assert (found.run.status, results(found.run)) == (
        ImportStatus.FINISHED,
        (1, 0, 0, 0),
    )


def test_a_file_without_addresses_or_with_too_many_rows_is_refused(
    manager, monkeypatch
):
    with pytest.raises(SheetError):
        previewed(csv(["A"], header=["name"]), manager)
    monkeypatch.setattr(student_sheet, "MAX_STUDENTS", 1)
    with pytest.raises(SheetError, match="more than 1 rows"):
        previewed(csv(["a@b.example"], ["b@b.example"], header=["email"]), manager)


def test_many_rows_cost_as_many_queries_as_two(plan, grade, manager):
    def queries(first, count):
        rows = [
            [f"S-{n}", f"s{n}@school.example", *HUDA[2:10], str(uuid.uuid4())]
            for n in range(first, first + count)
        ]
        rows = student_sheet.read(csv(*rows), "students.csv").rows
        hashed = dict.fromkeys((row.number for row in rows), "a hash")
        with CaptureQueriesContext(connection) as captured, transaction.atomic():
            student_import.apply(student_import.examine(rows), hashed)
        return len(captured)

    queries(0, 1)  # creates the groups
    # SQLite takes fewer than 999 values in a statement.
    assert queries(100, 50) == queries(10, 2) <= 65
    assert Enrollment.objects.count() == 53
    assert AcademicPlan.objects.count() == 1

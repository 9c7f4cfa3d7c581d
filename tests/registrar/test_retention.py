"""What the registrar deletes after some time."""

import io
from datetime import timedelta

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.core.files.base import ContentFile
from django.utils import timezone
from PIL import Image

from players.models import User
from registrar import checks, tasks
from registrar.mirror import forgetting
from registrar.mirror.applying import apply_record
from registrar.models import (
    Conflict,
    Effect,
    Hint,
    Payment,
    Student,
    StudentRequest,
    StudentToken,
    Submission,
)
from registrar.outbox import adding, retention

pytestmark = pytest.mark.django_db

DAYS = 30


@pytest.fixture(autouse=True)
def days(settings):
    settings.REGISTRAR_OUTBOX_DAYS = DAYS
    settings.REGISTRAR_ERASE_DAYS = DAYS


def ago(days):
    return timezone.now() - timedelta(days=days)


def make_effect(number, *, state="done", days=DAYS + 1):
    return Effect.objects.create(
        kind="user",
        peer="moodle",
        version=1,
        key=str(number),
        module="BTEC_Students",
        record_id="77",
        state=state,
        created_at=ago(days),
        due_at=ago(days),
        finished_at=ago(days) if state in ("done", "dead") else None,
        result="layla@school.example has an account",
    )


def test_effects_that_were_done_long_ago_are_deleted():
    make_effect(1)
    kept = [
        make_effect(2, days=DAYS - 1),
        make_effect(3, state="dead"),
        make_effect(4, state="pending"),
        make_effect(5, state="running"),
    ]
    assert retention.prune(now=timezone.now()) == 1
    assert list(Effect.objects.order_by("pk")) == kept


def test_a_row_that_moodle_has_gets_no_new_effect_after_the_deletion(student):
    Student.objects.update(pushed_version=student.version)
    make_effect(1)
    tasks.prune_outbox()
    assert not Effect.objects.exists()
    assert adding.add_all_due(most=9) == 0


@pytest.fixture
def student(db):
    record = {
        "id": "77",
        "First_Name": "ليلى",
        "Academic_Email": "layla@school.example",
        "Phone_Number": "0799000111",
        "Birth_Date": "2004-05-06",
        "National_Number": "998877",
        "Modified_Time": "2026-01-01T00:00:00+00:00",
    }
    apply_record("BTEC_Students", record, read_at=ago(99))
    return Student.objects.get()


@pytest.fixture
def deleted(student, settings, tmp_path):
    """A student deleted long ago, with personal data in every table."""
    settings.RECEIPT_ROOT = tmp_path
    Student.objects.update(deleted_at=ago(DAYS + 1), status="Deleted")
    Payment.objects.create(
        zoho_id="5", read_at=ago(99), student=student, note="paid by her aunt"
    )
    StudentRequest.objects.create(
        zoho_id="6", read_at=ago(99), student=student, description="her new phone"
    )
    submission = Submission.objects.create(
        uuid="7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e",
        student=student,
        kind="late",
        description="her reason",
        created_at=ago(60),
    )
    picture = io.BytesIO()
    Image.new("RGB", (8, 6)).save(picture, "PNG")
    submission.receipt.save("receipt.png", ContentFile(picture.getvalue()))
    StudentToken.objects.create(
        student=student,
        purpose="session",
        sha256="a" * 64,
        created_at=ago(1),
        expires_at=ago(-1),
    )
    Conflict.objects.create(
        module="BTEC_Students",
        record_id="77",
        api_name="Phone_Number",
        value="0799",
        reason="length",
        since=ago(60),
    )
    Hint.objects.create(
        module="BTEC_Students",
        record_id="77",
        operation="changed",
        state="done",
        decision={"outcome": "created"},
        created_at=ago(60),
        due_at=ago(60),
    )
    make_effect(1, days=1)
    manager = User.objects.create_superuser("mona@school.example", "password-of-mona-1")
    LogEntry.objects.log_actions(manager.pk, [student], CHANGE, single_object=True)
    return student


NEEDLES = ("ليلى", "layla@", "0799", "998877", "aunt", "her ", "2004")


def everything(*models):
    return "\n".join(str(row) for model in models for row in model.objects.values())


def test_nothing_personal_stays_of_a_student_who_was_deleted_long_ago(deleted):
    tables = (Student, Payment, StudentRequest, Submission, Conflict, Hint, Effect)
    found = everything(*tables, LogEntry)
    assert all(needle in found for needle in NEEDLES if needle != "2004")
    receipt = Submission.objects.get().receipt
    tasks.erase_deleted_students()
    found = everything(*tables, LogEntry)
    assert [needle for needle in NEEDLES if needle in found] == []
    assert not receipt.storage.exists(receipt.name)
    assert not StudentToken.objects.exists()
    row = Student.objects.get()
    assert (row.zoho_id, row.status, row.birth_date) == ("77", "Deleted", None)


def test_a_student_is_erased_once(deleted):
    assert forgetting.erase_deleted(now=timezone.now()) == 1
    assert forgetting.erase_deleted(now=timezone.now()) == 0


def test_erasing_sends_nothing_to_moodle(deleted):
    Student.objects.update(pushed_version=deleted.version)
    Effect.objects.all().delete()
    forgetting.erase_deleted(now=timezone.now())
    assert adding.add_all_due(most=9, modules=["BTEC_Students"]) == 0


def test_a_student_who_is_not_deleted_or_not_for_long_keeps_everything(student):
    assert forgetting.erase_deleted(now=timezone.now()) == 0
    Student.objects.update(deleted_at=ago(DAYS - 1))
    assert forgetting.erase_deleted(now=timezone.now()) == 0
    assert Student.objects.get().first_name == "ليلى"


def test_without_the_setting_nobody_is_erased(deleted, settings):
    settings.REGISTRAR_ERASE_DAYS = 0
    assert forgetting.erase_deleted(now=timezone.now()) == 0


def test_a_student_restored_in_zoho_gets_the_values_back_and_may_be_erased_again(
    deleted,
):
    forgetting.erase_deleted(now=timezone.now())
    record = {
        "id": "77",
        "First_Name": "ليلى",
        "Modified_Time": timezone.now().isoformat(),
    }
    apply_record("BTEC_Students", record, read_at=timezone.now())
    row = Student.objects.get()
    assert (row.first_name, row.deleted_at) == ("ليلى", None)
    Student.objects.update(deleted_at=timezone.now())
    later = timezone.now() + timedelta(days=DAYS + 1)
    assert forgetting.erase_deleted(now=later) == 1
    assert Student.objects.get().first_name == ""


@pytest.mark.parametrize("name", ["INBOX_DAYS", "OUTBOX_DAYS", "ERASE_DAYS"])
def test_a_negative_time_is_refused(settings, name):
    setattr(settings, f"REGISTRAR_{name}", -1)
    assert [one.id for one in checks.check_settings()] == ["registrar.E010"]

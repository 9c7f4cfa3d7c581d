"""Staff with roles, and a student of the mirror with two hints and an effect."""

from datetime import UTC, datetime

import pytest

from registrar.mirror.applying import apply_record
from registrar.mirror.decisions import Decision
from registrar.models import Delivery, Effect, Hint, Student
from tests.admin_fixtures import client_of, staff  # noqa: F401 - fixtures

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def student(db) -> Student:
    record = {
        "id": "77",
        "First_Name": "ليلى",
        "Last_Name": "Haddad",
        "Academic_Email": "layla@school.example",
    }
    apply_record("BTEC_Students", record, read_at=NOW)
    return Student.objects.get()


def make_hint(record_id="77", *, body=b"{}", outcome=None, **values) -> Hint:
    delivery = Delivery.objects.create(
        endpoint="webhooks/student-dashboard/student_updated",
        verifier="hmac",
        body=body,
        dedup_key=f"{Delivery.objects.count()}",
        received_at=NOW,
    )
    document = Decision(outcome).document() if outcome else None
    return Hint.objects.create(
        **{
            "delivery": delivery,
            "module": "BTEC_Students",
            "record_id": record_id,
            "operation": "changed",
            "state": "done" if outcome else "pending",
            "decision": document,
            "created_at": NOW,
            "due_at": NOW,
            **values,
        }
    )


def make_effect(record_id="77", **values) -> Effect:
    return Effect.objects.create(
        **{
            "kind": "user",
            "peer": "moodle",
            "version": 1,
            "key": f"user {record_id} {Effect.objects.count()}",
            "module": "BTEC_Students",
            "record_id": record_id,
            "created_at": NOW,
            "due_at": NOW,
            **values,
        }
    )

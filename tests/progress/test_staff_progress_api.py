"""The staff API that grants and resets lessons."""

import pytest
from django.contrib.auth.models import Group
from rest_framework.test import APIClient

from players import roles
from players.models import User
from progress.models import InteractionLog
from tests.progress.conftest import PASSWORD

pytestmark = pytest.mark.django_db


def signed_in(role: str) -> APIClient:
    user = User.objects.create_user(f"{role[:3]}@example.com", PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = APIClient()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def support(db) -> APIClient:
    return signed_in(roles.SUPPORT)


def ask(client, player: int, change: str, body: dict, key: str | None = None):
    headers = {} if key is None else {"Idempotency-Key": key}
    url = f"/api/v1/admin/progress/{player}/{change}/"
    answer = client.post(url, body, format="json", headers=headers)
    return answer.status_code, answer.json()


GRANT = {"node_id": "UNIT-MATH-0", "hearts": 3, "reason": "From another school"}
RESET = {"node_id": "LES-MATH-0-0", "reason": "Again"}


def test_lessons_are_granted_and_reset(support, student):
    assert ask(support, student.pk, "grant", GRANT) == (200, {"lessons": 2})
    assert ask(support, student.pk, "reset", RESET) == (200, {"lessons": 1})
    rows = InteractionLog.objects.order_by("seq").values_list("type", "hearts")
    assert list(rows) == [
        *[("lesson_granted", 3)] * 2,
        ("lesson_reset", None),
    ]


def test_a_repeat_with_the_same_key_changes_nothing(support, student):
    first = ask(support, student.pk, "grant", GRANT, key="one")
    assert ask(support, student.pk, "grant", GRANT, key="one") == first
    assert InteractionLog.objects.count() == 2


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (GRANT | {"node_id": "UNIT-9"}, 404, "INVALID_LESSON"),
        (GRANT | {"hearts": 6}, 400, "INVALID_BODY"),
        (GRANT | {"reason": " "}, 400, "INVALID_BODY"),
    ],
)
def test_what_is_not_valid_is_refused(support, student, body, status, code):
    answer = ask(support, student.pk, "grant", body)
    assert (answer[0], answer[1]["error_code"]) == (status, code)
    assert not InteractionLog.objects.exists()


def test_nothing_to_reset_is_refused(support, student):
    status, answer = ask(support, student.pk, "reset", RESET)
    assert (status, answer["error_code"]) == (400, "INVALID_BODY")
    assert answer["message"] == "No lesson here is passed."


def test_an_unknown_student_is_not_found(support):
    assert ask(support, 9999, "grant", GRANT)[0] == 404


@pytest.mark.parametrize("role", [roles.TEACHERS, roles.CONTENT_EDITORS])
def test_other_staff_are_refused(student, role):
    assert ask(signed_in(role), student.pk, "grant", GRANT)[0] == 403
    assert not InteractionLog.objects.exists()

"""Shared fixtures: a subject with linear units, a plan, and an enrolled student."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from plans.models import AcademicPlan
from plans.services import add_subject
from players.models import PlayerProfile
from players.services import accounts
from progress.services import completion
from publishing.building import builds
from tests.factories import content as factories

PASSWORD = "a-long-password-7"
MONDAY = datetime(2026, 3, 2, 12, tzinfo=UTC)


def asking(place: str) -> dict[str, Any]:
    """A quiz of two questions; their ids name the place."""
    return {
        "type": "Quiz",
        "title": "Ask",
        "config": factories.quiz(f"Q1-{place}", f"Q2-{place}"),
    }


make_subject = partial(factories.make_subject, is_linear=True, stage=asking)


def publish(plan: AcademicPlan) -> None:
    entry = builds.publish_plan(plan.pk, trigger="test")
    assert entry is not None
    assert entry.error == ""


@pytest.fixture
def plan(db) -> AcademicPlan:
    """A published plan with one linear subject, SUBJ-MATH: 2 units of 2 lessons."""
    made = AcademicPlan.objects.create(
        public_id="PLAN-A", title="Grade 5", is_published=True
    )
    add_subject(plan=made, subject=make_subject("MATH"))
    publish(made)
    return made


def enrolled(plan: AcademicPlan, email: str = "amal@example.com") -> PlayerProfile:
    return accounts.create_player(email, PASSWORD, "Amal", plan=plan)


@pytest.fixture
def student(plan, django_capture_on_commit_callbacks) -> PlayerProfile:
    with django_capture_on_commit_callbacks(execute=True):
        return enrolled(plan)


@pytest.fixture
def finish(student):
    """Complete a lesson, ``finish("0-1", 5)`` for LES-MATH-0-1, on a day after Monday."""

    def finish(place: str, hearts: int = 5, *, day: int = 0, key: str | None = None):
        return completion.complete(
            player_id=student.pk,
            lesson_id=f"LES-MATH-{place}",
            hearts=hearts,
            idempotency_key=key,
            now=MONDAY + timedelta(days=day),
        )

    return finish


@pytest.fixture
def count_redis(monkeypatch):
    """Count round trips to Redis: each batch of commands is one."""
    from redis.connection import Connection, UnixDomainSocketConnection

    trips: list[bytes] = []
    for kind in {Connection, UnixDomainSocketConnection}:
        real = kind.send_packed_command

        def send(self, command, check_health=True, _real=real):
            trips.append(b"".join(command) if isinstance(command, list) else command)
            return _real(self, command, check_health)

        monkeypatch.setattr(kind, "send_packed_command", send)
    return trips


class Phone:
    """The student's app on one device, signed in."""

    def __init__(self, email: str) -> None:
        self._client = APIClient()
        self._headers = {"X-Device-ID": str(uuid4())}
        answer = self.post("auth/login/", {"email": email, "password": PASSWORD})
        assert answer.status_code == 200, answer.json()
        self._headers["Authorization"] = f"Bearer {answer.json()['token']}"

    def get(self, path: str, *, if_none_match: str | None = None) -> Any:
        headers = dict(self._headers)
        if if_none_match is not None:
            headers["If-None-Match"] = if_none_match
        return self._client.get(f"/api/v1/{path}", headers=headers)

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        headers = self._headers | ({"Idempotency-Key": key} if key is not None else {})
        return self._client.post(
            f"/api/v1/{path}", body, format="json", headers=headers
        )

    def send_bytes(self, path: str, body: bytes) -> Any:
        """Send a raw body and return the answer."""
        return self._client.generic(
            "POST",
            f"/api/v1/{path}",
            body,
            content_type="application/json",
            headers=self._headers,
        )


@pytest.fixture
def phone(student, django_capture_on_commit_callbacks) -> Phone:
    with django_capture_on_commit_callbacks(execute=True):
        return Phone(student.user.email)

"""Fixtures of the admin tests: staff of each role, and content to edit.

The conftest.py of a folder of admin tests imports all of them.
"""

import time

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from content.kinds import Kind
from content.models import LessonStage
from plans import services as plan_services
from plans.models import AcademicPlan
from players import roles
from players.models import User
from players.services import accounts
from publishing import queue
from tests.factories.content import NewNode, insert_tree

TEXT = {"format": "markdown", "body": "Read this."}


@pytest.fixture
def worker_runs() -> None:
    """Record a current heartbeat of the worker and of beat."""
    queue.record_beat_heartbeat(time.time())


@pytest.fixture
def superuser(db) -> User:
    return User.objects.create_superuser("root@example.com", "root-password-1")


@pytest.fixture
def client_of():
    """Return a function that signs a user in and returns their browser."""

    def sign_in(user: User) -> Client:
        browser = Client()
        browser.force_login(user)
        return browser

    return sign_in


@pytest.fixture
def browser(superuser, client_of) -> Client:
    """A superuser's browser."""
    return client_of(superuser)


@pytest.fixture
def staff(db):
    """Return a function that creates a staff user with one role."""

    def make(role: str) -> User:
        user = User.objects.create_user(
            f"{role.lower().replace(' ', '-')}@example.com",
            "staff-password-1",
            is_staff=True,
        )
        user.groups.add(Group.objects.get(name=role))
        return user

    return make


@pytest.fixture
def editor(staff) -> User:
    return staff(roles.CONTENT_EDITORS)


@pytest.fixture
def support(staff) -> User:
    return staff(roles.SUPPORT)


@pytest.fixture
def publisher(staff) -> User:
    return staff(roles.PUBLISHERS)


@pytest.fixture
def grow(db):
    """Return a function that creates a published subject; returns its nodes by kind."""

    def make(title: str = "Mathematics", lessons: int = 1) -> dict:
        below = [
            NewNode(Kind.LESSON, f"{title}'s lesson {number}")
            for number in range(1, lessons + 1)
        ]
        for kind in (Kind.TOPIC, Kind.UNIT, Kind.TRACK):
            below = [NewNode(kind, f"{title}'s {kind}", children=below)]
        rows = list(insert_tree(NewNode(Kind.SUBJECT, title, children=below)).values())
        nodes: dict = {row.kind: row for row in rows[:4]}
        return nodes | {"lesson": rows[4], "lessons": rows[4:]}

    return make


@pytest.fixture
def maths(grow) -> dict:
    return grow("Mathematics", lessons=2)


@pytest.fixture
def physics(grow) -> dict:
    return grow("Physics")


@pytest.fixture
def stage(maths) -> LessonStage:
    return LessonStage.objects.create(
        lesson=maths["lesson"], position=1, type="Text", title="Intro", config=TEXT
    )


@pytest.fixture
def plan(maths) -> AcademicPlan:
    plan = AcademicPlan.objects.create(title="Grade 12", is_published=True)
    plan_services.add_subject(plan=plan, subject=maths["subject"])
    return plan


@pytest.fixture
def player(plan):
    return accounts.create_player(
        "student@example.com", "student-password-1", full_name="Student", plan=plan
    )


def messages_of(response) -> list[str]:
    """The messages that the page shows."""
    return [str(message) for message in response.context["messages"]]

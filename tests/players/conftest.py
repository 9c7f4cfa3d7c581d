"""Shared fixtures: a plan, a student with an app, staff."""

import pytest
from django.contrib.auth.models import Group
from rest_framework.test import APIClient

from plans.models import AcademicPlan
from players.models import User
from players.services import accounts
from tests.players.app import PASSWORD, App


@pytest.fixture
def plan(db):
    return AcademicPlan.objects.create(
        title="Grade 5", public_id="PLAN-5", is_published=True
    )


@pytest.fixture
def student(plan, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        return accounts.create_player(
            "lina@school.example", PASSWORD, "Lina", plan=plan
        )


@pytest.fixture
def app():
    return App()


@pytest.fixture
def signed_in(student, app, django_capture_on_commit_callbacks):
    """The student's app, signed in on her first device."""
    with django_capture_on_commit_callbacks(execute=True):
        assert app.sign_in("lina@school.example").status_code == 200
    return app


@pytest.fixture
def support(db):
    user = User.objects.create_user("sami@school.example", PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name="Support"))
    return user


@pytest.fixture
def manager(db):
    user = User.objects.create_user("mona@school.example", PASSWORD, is_staff=True)
    user.groups.add(Group.objects.get(name="System Managers"))
    return user


@pytest.fixture
def as_staff():
    """Return a function that returns a staff user's client with an admin session."""

    def sign_in(user):
        client = APIClient()
        client.force_login(user, "django.contrib.auth.backends.ModelBackend")
        return client

    return sign_in


@pytest.fixture
def round_trips(monkeypatch):
    """Record the commands sent to Redis: one entry per round trip."""
    from redis.connection import AbstractConnection

    sent = []
    send = AbstractConnection.send_packed_command

    def counted(self, command, *args, **kwargs):
        sent.append(command)
        return send(self, command, *args, **kwargs)

    monkeypatch.setattr(AbstractConnection, "send_packed_command", counted)
    return sent

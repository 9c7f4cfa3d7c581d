"""The requests and answers in the guide for apps are those of the server."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from content.kinds import Kind
from plans.models import AcademicPlan, OverrideAction
from plans.services import add_subject, set_override
from players.models import Enrollment, Entitlement, PlayerProfile, User
from players.services import accounts, password_resets
from publishing.building import builds
from registrar.models import Student
from registrar.student_pages import linking
from tests.factories.content import NewNode, insert_tree, quiz
from tests.memora_site import guides

GUIDE = Path(__file__).parents[2] / "docs/app-guide.md"
CODE = 4071_8823


@pytest.fixture
def world(db, settings, django_capture_on_commit_callbacks) -> None:
    """The plan of the guide, its student Lina, and support."""
    settings.DEVICE_REPLACEMENTS = 1
    settings.MIN_APP_VERSION = "2.4.0"
    settings.APP_STORE_URLS = settings.APP_STORE_URLS | {
        "": "https://apps.example.org/memora"
    }
    lessons = [
        NewNode(
            Kind.LESSON,
            "Counting",
            public_id="LES-7K3M9QX2VB",
            stage={"type": "Quiz", "title": "Count", "config": quiz("Q-7K3M9QX2VB")},
        ),
        NewNode(Kind.LESSON, "Adding", public_id="LES-4T8WBN2PQR"),
    ]
    sold = [NewNode(Kind.LESSON, "Halves", public_id="LES-9C2HJ5RTWX")]
    units = [
        NewNode(
            Kind.UNIT,
            title,
            public_id=f"UNIT-{place}",
            children=[
                NewNode(
                    Kind.TOPIC,
                    title,
                    public_id=f"TOP-{place}",
                    children=children,
                    is_linear=True,
                )
            ],
        )
        for title, place, children in (
            ("Numbers", "3D6FGH8JKM", lessons),
            ("Fractions", "7K3M9QX2VB", sold),
        )
    ]
    track = NewNode(Kind.TRACK, "Basics", public_id="TRK-7K3M9QX2VB", children=units)
    root = NewNode(
        Kind.SUBJECT, "Mathematics", public_id="SUBJ-7K3M9QX2VB", children=[track]
    )
    rows = insert_tree(root)
    plan = AcademicPlan.objects.create(
        public_id="PLAN-5", title="Grade 5", is_published=True
    )
    add_subject(plan=plan, subject=rows[root])
    set_override(
        plan=plan,
        target=rows[units[1]],
        action=OverrideAction.SET_SOLD_SEPARATELY,
        value="MATHS-5",
    )
    entry = builds.publish_plan(plan.pk, trigger="test")
    assert entry is not None
    assert entry.error == ""
    other = AcademicPlan.objects.create(public_id="PLAN-ART", title="Art")
    with django_capture_on_commit_callbacks(execute=True):
        lina = accounts.create_player(
            "lina@school.example", "learn-every-day", "Lina", plan=plan
        )
        Enrollment.objects.create(player=lina, plan=other)
        Entitlement.objects.create(
            player=lina,
            item="MATHS-5",
            valid_until=datetime(2026, 6, 30, 21, tzinfo=UTC),
        )
    record = Student.objects.create(zoho_id="1", read_at=datetime.now(UTC))
    linking.link(record, lina)
    User.objects.create_superuser("support@school.example", "support-1")


class Reader:
    """An app that sends the requests of the guide, from one device."""

    def __init__(self) -> None:
        self.client = Client()
        self.headers: dict[str, str] = {}
        self._etags: dict[str, str] = {}

    def send(self, block: str) -> HttpResponse:
        """Send a request, with the last device id and the last token."""
        sent = guides.Request.read(block)
        path, headers = sent.path, sent.headers
        if device := headers.get("X-Device-ID"):
            self.headers["X-Device-ID"] = device
        headers = {**self.headers, **headers}
        if etag := headers.get("If-None-Match"):
            assert guides.difference(etag, self._etags[path]) == "", block
            headers["If-None-Match"] = self._etags[path]
        if not path.startswith("/api/"):
            headers = {}  # published files are read without the token
        if sent.body:
            headers.setdefault("Content-Type", "application/json")
        response = self.client.generic(
            sent.method,
            path,
            sent.body,
            headers.pop("Content-Type", ""),
            headers=headers,
        )
        self._etags[path] = response.headers.get("ETag", "")
        return response

    def remember_token(self, answer: Any) -> None:
        if isinstance(answer, dict) and "token" in answer:
            self.headers["Authorization"] = f"Bearer {answer['token']}"


def tell_code(monkeypatch) -> None:
    """Let support tell Lina the code of the guide."""
    lina = PlayerProfile.objects.get(user__email="lina@school.example")
    support = User.objects.get(email="support@school.example")
    with monkeypatch.context() as fixed:
        fixed.setattr("secrets.randbelow", lambda _end: CODE)
        password_resets.issue_code(lina, support)


def test_the_guide_shows_the_requests_and_answers_of_the_server(
    world, monkeypatch, django_capture_on_commit_callbacks
):
    reader = Reader()
    played = guides.steps(GUIDE)
    assert len(played) > 20
    for request, shown in played:
        if "password-reset/confirm/" in request:
            tell_code(monkeypatch)
        with django_capture_on_commit_callbacks(execute=True):
            response = reader.send(request)
        content = response.getvalue()
        if shown is None:
            status = 304 if "If-None-Match" in request else 204
            assert (response.status_code, content) == (status, b""), request
            continue
        real, expected = json.loads(content), json.loads(shown)
        assert (response.status_code < 400) == ("error_code" not in expected), real
        assert guides.difference(expected, real) == "", request
        reader.remember_token(real)


@pytest.mark.parametrize(
    "real",
    [
        {"total": 35, "due_at": "2026-11-29T17:03:05Z", "url": "/a/b"},
        {"xp": 36, "due_at": "2026-11-29T17:03:05Z", "url": "/a/b"},
        {"xp": 35, "due_at": None, "url": "/a/b"},
        {"xp": 35, "due_at": "2026-11-29", "url": "/a/b"},
        {"xp": 35, "due_at": "2026-11-29T17:03:05Z", "url": "/b/b"},
    ],
)
def test_another_field_or_value_is_a_difference(real):
    shown = {"xp": 35, "due_at": "2027-01-01T00:00:00Z", "url": "/a/…"}
    assert guides.difference(shown, shown | {"url": "/a/c"}) == ""
    assert guides.difference(shown, real)

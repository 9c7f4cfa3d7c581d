"""A server over real HTTP whose content has the ids of the schema's examples."""

from dataclasses import dataclass
from uuid import UUID, uuid4

import pytest
from django.test import Client

from content.kinds import Kind
from memora_site.demo_client import StudentApp
from plans.models import AcademicPlan, Grade
from plans.services import add_subject
from players.models import Device, PlayerProfile, User
from players.services import accounts, devices
from publishing.building import builds
from tests.factories.content import NewNode, insert_tree, quiz

PASSWORD = "learn-every-day"
EMAIL = "lina@school.example"
DEVICE = UUID("7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e")
LESSON, NEXT_LESSON = "LES-7K3M9QX2VB", "LES-4T8WBN2PQR"
SUBJECT, TOPIC, ITEM = "SUBJ-7K3M9QX2VB", "TOP-7K3M9QX2VB", "Q-7K3M9QX2VB"
PLAYER_KEY, DEVICE_KEY = 42, 12


@pytest.fixture
def server(live_server, settings) -> str:
    """The address of a server without rate limits, which published files link to."""
    settings.SITE_URL = live_server.url
    settings.RATE_LIMITS = dict.fromkeys(settings.RATE_LIMITS, (10**6, 60))
    return live_server.url


@pytest.fixture
def plan(server, django_db_reset_sequences) -> AcademicPlan:
    """A published plan with a linear subject of two lessons, one with an item."""
    lessons = [
        NewNode(
            Kind.LESSON,
            "Counting",
            public_id=LESSON,
            stage={"type": "Quiz", "title": "Count", "config": quiz(ITEM)},
        ),
        NewNode(Kind.LESSON, "Adding", public_id=NEXT_LESSON),
    ]
    tree = NewNode(
        Kind.TOPIC, "Numbers", public_id=TOPIC, children=lessons, is_linear=True
    )
    for kind in (Kind.UNIT, Kind.TRACK, Kind.SUBJECT):
        tree = NewNode(kind, "Mathematics", children=[tree], is_linear=True)
    tree.public_id = SUBJECT
    Grade.objects.create(title="Grade 5")
    plan = AcademicPlan.objects.create(
        public_id="PLAN-5", title="Grade 5", is_published=True
    )
    add_subject(plan=plan, subject=insert_tree(tree)[tree])
    entry = builds.publish_plan(plan.pk, trigger="test")
    assert entry is not None
    assert entry.error == ""
    return plan


@pytest.fixture
def lina(plan) -> PlayerProfile:
    """The student of the examples; nobody has signed in as her."""
    return accounts.create_player(EMAIL, PASSWORD, full_name="Lina", plan=plan)


@dataclass(frozen=True, slots=True)
class Callers:
    """Who sends requests: an app, one that signs out, and a browser of staff."""

    app: StudentApp
    leaving: StudentApp
    staff_session: str
    csrf_token: str


@pytest.fixture
def callers(server, plan, lina) -> Callers:
    """A student and a device have the keys of the schema's examples."""
    before = User.objects.create_user("before@school.example", PASSWORD)
    PlayerProfile.objects.create(pk=PLAYER_KEY - 1, user=before)
    student = accounts.create_player("sara@school.example", PASSWORD, "Sara", plan=plan)
    assert student.pk == PLAYER_KEY
    other = accounts.create_player("omar@school.example", PASSWORD, "Omar", plan=plan)
    Device.objects.create(
        pk=DEVICE_KEY, player=other, slot=2, device_id=uuid4(), name="Old phone"
    )
    devices.add(player_id=lina.pk, device_id=DEVICE)
    app = StudentApp(server)
    app.sign_in("sara@school.example", PASSWORD)
    leaving = StudentApp(server)
    devices.add(player_id=other.pk, device_id=leaving.device_id)
    leaving.sign_in("omar@school.example", PASSWORD)
    browser = Client()
    manager = User.objects.create_superuser("mona@school.example", PASSWORD)
    browser.force_login(manager, "django.contrib.auth.backends.ModelBackend")
    browser.get("/admin/")
    return Callers(
        app,
        leaving,
        staff_session=browser.session.session_key or "",
        csrf_token=browser.cookies["csrftoken"].value,
    )

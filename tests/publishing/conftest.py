"""A small school: two subjects with a few lessons, and one plan."""

import pytest

from content import services
from content.kinds import Kind
from content.models import LessonStage, Node
from plans.models import AcademicPlan
from plans.services import add_subject
from tests.publishing.cdn_world import PurgeApi, S3Server, Wire, running


def make_subject(name: str, *, units: int = 2, lessons: int = 2) -> Node:
    """A published subject ``SUBJ-{name}`` with one topic per unit, ids telling places."""
    subject = services.create_node(
        kind=Kind.SUBJECT, title=name, public_id=f"SUBJ-{name}", is_published=True
    )
    track = services.create_node(
        kind=Kind.TRACK,
        parent=subject,
        title="Track",
        public_id=f"TRK-{name}",
        is_published=True,
    )
    for u in range(units):
        unit = services.create_node(
            kind=Kind.UNIT,
            parent=track,
            title=f"Unit {u}",
            public_id=f"UNIT-{name}-{u}",
            is_published=True,
        )
        topic = services.create_node(
            kind=Kind.TOPIC,
            parent=unit,
            title=f"Topic {u}",
            public_id=f"TOP-{name}-{u}",
            is_published=True,
        )
        for n in range(lessons):
            lesson = services.create_node(
                kind=Kind.LESSON,
                parent=topic,
                title=f"Lesson {u}.{n}",
                public_id=f"LES-{name}-{u}-{n}",
                is_published=True,
            )
            LessonStage.objects.create(
                public_id=f"STG-{name}-{u}-{n}",
                lesson=lesson,
                type="Text",
                title="Read",
                config={"format": "markdown", "body": f"اقرأ {u}.{n}"},
            )
    return subject


def node(public_id: str) -> Node:
    return Node.objects.get(public_id=public_id)


@pytest.fixture
def math(db) -> Node:
    return make_subject("MATH")


@pytest.fixture
def plan(math) -> AcademicPlan:
    plan = AcademicPlan.objects.create(
        public_id="PLAN-A", title="Grade 5", is_published=True
    )
    add_subject(plan=plan, subject=math)
    return plan


# --- The other side of distribution ---------------------------------------------------


@pytest.fixture(scope="session")
def _s3_server():
    with running(S3Server()) as server:
        yield server


@pytest.fixture(scope="session")
def _wire(_s3_server):
    with running(Wire(_s3_server.port)) as wire:
        yield wire


@pytest.fixture
def s3(_s3_server, settings) -> S3Server:
    """An S3 server with an empty public and an empty private bucket."""
    settings.UPLOAD_CONNECT_TIMEOUT = settings.UPLOAD_READ_TIMEOUT = 2
    settings.UPLOAD_ATTEMPTS = 1
    _s3_server.reset()
    return _s3_server


@pytest.fixture
def wire(s3, _wire) -> Wire:
    """The way to it, where faults can be put."""
    _wire.reset()
    return _wire


@pytest.fixture
def purges(settings):
    """Cloudflare's purge API, as far as it concerns us."""
    with running(PurgeApi()) as api:
        settings.CLOUDFLARE_API_URL = api.url
        yield api

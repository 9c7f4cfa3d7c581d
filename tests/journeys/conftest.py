"""A school over real HTTP: a server, a small plan, a student and her phone."""

import pytest

from content import services
from content.kinds import Kind
from content.models import LessonStage, Node
from memora_site.demo_story import AnswerError, StudentApp
from plans.models import AcademicPlan
from plans.services import add_subject, set_override
from players.models import PlayerProfile
from players.services.accounts import create_player
from publishing import builds
from publishing.models import SyncStatus

EMAIL = "sara@example.org"
PASSWORD = "a-long-enough-phrase"


def publish(plan: AcademicPlan) -> None:
    entry = builds.publish_plan(plan.pk, trigger="test")
    assert entry is None or entry.status == SyncStatus.LOCAL_ONLY, entry.error


def refusal(call, *args, **kwargs) -> tuple[int, str]:
    """The status and error code with which the server refuses a call."""
    with pytest.raises(AnswerError) as refused:
        call(*args, **kwargs)
    assert set(refused.value.body) <= {"error_code", "message", "details"}
    assert refused.value.body["message"]
    return refused.value.status, refused.value.body["error_code"]


@pytest.fixture
def server(live_server, settings) -> str:
    """A server's address; published files link to it."""
    settings.SITE_URL = live_server.url
    return live_server.url


@pytest.fixture
def arabic(server, transactional_db) -> Node:
    """A linear subject: two units, the first of two lessons, the second of one."""
    subject = services.create_node(
        kind=Kind.SUBJECT,
        title="العربية",
        public_id="SUBJ-AR",
        is_published=True,
        is_linear=True,
    )
    track = services.create_node(
        kind=Kind.TRACK,
        parent=subject,
        title="الأساس",
        public_id="TRK-1",
        is_published=True,
        is_linear=True,
    )
    for unit_number, lesson_count in ((1, 2), (2, 1)):
        unit = services.create_node(
            kind=Kind.UNIT,
            parent=track,
            title=f"الوحدة {unit_number}",
            public_id=f"UNIT-{unit_number}",
            is_published=True,
            is_linear=True,
        )
        topic = services.create_node(
            kind=Kind.TOPIC,
            parent=unit,
            title=f"الموضوع {unit_number}",
            public_id=f"TOP-{unit_number}",
            is_published=True,
            is_linear=True,
        )
        for number in range(1, lesson_count + 1):
            lesson = services.create_node(
                kind=Kind.LESSON,
                parent=topic,
                title=f"الدرس {unit_number}.{number}",
                public_id=f"LES-{unit_number}-{number}",
                is_published=True,
            )
            LessonStage.objects.create(
                public_id=f"STG-{unit_number}-{number}",
                lesson=lesson,
                type="Text",
                title="اقرأ",
                config={"format": "markdown", "body": "اقرأ بهدوء."},
            )
    return subject


@pytest.fixture
def plan(arabic: Node) -> AcademicPlan:
    """A published plan of the subject; its first lesson is open to all."""
    plan = AcademicPlan.objects.create(
        public_id="PLAN-1", title="الصف الخامس", is_published=True
    )
    add_subject(plan=plan, subject=arabic)
    first = Node.objects.get(public_id="LES-1-1")
    set_override(plan=plan, target=first, action="set_free")
    publish(plan)
    return plan


@pytest.fixture
def student(plan: AcademicPlan) -> PlayerProfile:
    return create_player(EMAIL, PASSWORD, full_name="Sara", plan=plan)


@pytest.fixture
def phone(server: str, student: PlayerProfile) -> StudentApp:
    """The student's app, not signed in."""
    return StudentApp(server)

"""Every admin page takes the same number of queries, however many rows exist."""

import uuid

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from content import services
from content.kinds import Kind
from content.models import LessonStage, Node, Product
from plans import services as plan_services
from plans.models import AcademicPlan, Grade, ScheduledChange, Season, Stream
from players import audit
from players.models import (
    Enrollment,
    Entitlement,
    SecurityEventType,
    StudyGroup,
    User,
)
from players.services import accounts, groups
from progress.models import StructureProgress
from publishing.models import (
    Alert,
    HealthReport,
    Publication,
    SyncLog,
    SyncStatus,
)
from registrar.mapping.modules import MAPPINGS
from registrar.mirror.applying import apply_record
from registrar.mirror.decisions import Decision, Outcome
from registrar.models import Delivery, Effect, Hint, MoodleGrade, Student
from tests.admin_fixtures import TEXT
from tests.factories.content import make_branch, plant
from tests.factories.progress import make_card, make_interaction, make_rating
from tests.memora_site.admin.test_every_page import NOW, world  # noqa: F401 - a fixture
from tests.memora_site.admin.test_roles import ARGUMENT, addresses, example_of

pytestmark = pytest.mark.django_db

PAGES = {name: address for address, name in addresses()}
ONE_BY_ONE = {
    # The page previews a build, which reads one subject at a time.
    "publishing_upcoming": 4,
    "app_plan": 4,
    # Django lists the related rows that go with a deletion; here the student's plans.
    "players_playerprofile_delete": 1,
}
"""How many queries a page may add for each subject of its plan, or plan of its student:
both numbers stay small."""


def grow_content(plan, lesson, numbers):
    """Add rows around the lesson and in the plan."""
    topic = lesson.parent
    for number in numbers:
        node = services.create_node(
            kind=Kind.LESSON, parent=topic, title=f"More {number}", is_published=True
        )
        plan_services.set_override(plan=plan, target=node, action="hide")
        for target in ({"node": lesson}, {"plan": plan}, {"node": node, "plan": plan}):
            ScheduledChange.objects.create(
                **target,
                target_title="More",
                action="set_override",
                override="hide",
                due_at=timezone.now(),
                created_by=User.objects.create_user(f"{uuid.uuid4()}@example.com"),
            )
        LessonStage.objects.create(
            lesson=lesson, position=9 + number, type="Text", title="More", config=TEXT
        )
        Node.objects.filter(pk=lesson.pk).update(description=f"Edit {number}")
        branch = make_branch(f"Subject {number}", lessons=2)
        plan_services.add_subject(plan=plan, subject=branch.subject)
        plan_services.set_override(plan=plan, target=branch.unit, action="set_free")
    LogEntry.objects.log_actions(
        user_id=User.objects.order_by("pk").first().pk,
        queryset=list(Node.objects.filter(kind="lesson")),
        action_flag=2,
    )


def grow_school(plan, player, numbers):
    """Add plans, students, and rows of one student."""
    for number in numbers:
        labels = {
            model.__name__.lower(): model.objects.create(title=f"{number}")
            for model in (Grade, Season, Stream)
        }
        more = AcademicPlan.objects.create(
            title=f"Plan {number}", is_published=True, **labels
        )
        plan_services.add_subject(plan=more, subject=plan.subjects.first())
        other = accounts.create_player(
            f"more{number}@example.com", "student-password-1", full_name="M", plan=plan
        )
        Enrollment.objects.create(player=player, plan=more)
        StudyGroup.objects.create(name=f"Group {number}", plan=more)
        members = StudyGroup.objects.values_list("pk", flat=True)
        groups.add_members((pk, who.pk) for pk in members for who in (player, other))
        Entitlement.objects.create(player=player, item=f"ITEM-{number}")
        Product.objects.create(code=f"ITEM-{number}", title=f"Item {number}")
        for who in (player, other):
            make_interaction(who, seq=number + 100, reference_id=f"LES-{number}")
            StructureProgress.objects.create(
                player=who, subject_id=f"SUBJ-M{number}", last_synced_at=NOW
            )
            make_rating(make_card(who, f"I{number}"), position=number + 100)
            audit.record(SecurityEventType.LOGIN, user_id=who.user_id)


def grow_runs(plan, numbers):
    """Add runs, failures, alerts and reports, and releases of all plans."""
    for status in SyncStatus:
        for _number in numbers:
            SyncLog.objects.create(
                plan=plan,
                plan_public_id=plan.public_id,
                status=status,
                trigger="admin",
                created_at=NOW,
                finished_at=timezone.now(),
                error="The title is too long.",
                error_document=f"lessons/{uuid.uuid4()}.json",
            )
    for more in AcademicPlan.objects.filter(publication=None):
        Publication.objects.create(plan=more, plan_public_id=more.public_id)
        HealthReport.objects.create(
            is_full=True, started_at=NOW, finished_at=NOW, findings={"missing": []}
        )
        Alert.objects.create(
            kind="disk_low",
            open_key=f"disk_low:{more.pk}",
            message="2 % are free.",
            raised_at=NOW,
            seen_at=NOW,
        )


def grow_grades(numbers):
    """Add grades of Moodle, of one student, with failed effects."""
    Student.objects.filter(zoho_id="1").update(moodle_id=3)
    for number in numbers:
        key = f"1-2-3-{number}"
        MoodleGrade.objects.create(
            composite_key=key,
            course_id=1,
            assignment_id=2,
            user_id=3,
            attempt=number,
            grade="R",
            changed_at=NOW,
        )
        Effect.objects.create(
            kind="grade",
            peer="zoho",
            module="BTEC_Grades",
            record_id=key,
            version=1,
            key=f"grade {number}",
            state="dead",
            last_error="Zoho refuses the request.",
            created_at=NOW,
            due_at=NOW,
        )


def grow_registrar(numbers):
    """Add records of every module with hints, effects and conflicts."""
    grow_grades(numbers)
    for number in numbers:
        for module in MAPPINGS:
            apply_record(module, {"id": f"9{number}"}, read_at=NOW)
        record = {"id": f"8{number}", "Enrollment_Status": "odd"}
        apply_record("BTEC_Enrollments", record, read_at=NOW)
        for record_id, state in (("1", "done"), (f"9{number}", "dead")):
            work = {
                "module": "BTEC_Students",
                "record_id": record_id,
                "state": state,
                "created_at": NOW,
                "due_at": NOW,
            }
            Hint.objects.create(
                operation="changed",
                delivery=Delivery.objects.create(
                    endpoint="webhooks",
                    verifier="hmac",
                    body=b"{}",
                    received_at=NOW,
                    dedup_key=f"{record_id} {number}",
                ),
                decision=Decision(Outcome.UNCHANGED).document(),
                **work,
            )
            Effect.objects.create(
                kind="user",
                peer="moodle",
                version=number,
                key=f"user {record_id} {number}",
                **work,
            )


def queries_of(browser, name):
    """Return the queries of a second request; the first one fills Django's caches."""
    path = ARGUMENT.sub(lambda found: str(example_of(name, found[1])), PAGES[name])
    first = browser.get(f"/admin/{path}")
    with CaptureQueriesContext(connection) as captured:
        again = browser.get(f"/admin/{path}")
    assert again.status_code == first.status_code, name
    return len(captured)


def test_every_page_reads_the_same_queries_however_much_there_is(
    browser,
    world,  # noqa: F811
    plan,
    player,
    maths,
    monkeypatch,
):
    # The health checks run in other threads, which the test's transaction would block.
    monkeypatch.setattr("memora_site.health.CHECKS", {})

    def grow(*numbers):
        grow_content(plan, maths["lesson"], numbers)
        grow_school(plan, player, numbers)
        grow_runs(plan, numbers)
        grow_registrar(numbers)
        return {name: queries_of(browser, name) for name in PAGES}

    few = grow(1)
    plant("HUGE", lessons=5_000)  # in each of two topics
    huge = Node.objects.get(public_id="SUBJ-HUGE")
    plan_services.add_subject(plan=plan, subject=huge)
    many = grow(*range(2, 12))
    allowed = {name: 11 * ONE_BY_ONE.get(name, 0) for name in PAGES}
    growing = {
        name: (few[name], many[name])
        for name in PAGES
        if not few[name] <= many[name] <= few[name] + allowed[name]
    }
    assert growing == {}

"""Every admin page answers, in both languages, to the users who may open it."""

import uuid
from datetime import UTC, datetime

import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.urls import reverse

from content.models import MediaFile, MediaKind, Product
from plans.models import AcademicPlan, Grade, ScheduledChange, Season, Stream
from players import audit
from players.models import (
    Erasure,
    SecurityEvent,
    SecurityEventType,
    StudentImport,
    StudyGroup,
    User,
)
from players.services import devices, groups
from progress.models import (
    InteractionLog,
    ReviewCard,
    ReviewRating,
    StructureProgress,
)
from publishing.models import (
    Alert,
    HealthReport,
    Publication,
    PublishingSettings,
    SyncLog,
    SyncStatus,
)
from registrar.mapping.modules import MAPPINGS
from registrar.mirror.applying import apply_record
from registrar.mirror.decisions import Decision, Outcome
from registrar.models import (
    Delivery,
    GivenAccess,
    GradePoll,
    Hint,
    Kind,
    MoodleGrade,
    PeerState,
    ProgramAccess,
    RegistrarSettings,
    RequestWindow,
    Student,
    StudentAccount,
    StudentCard,
    Submission,
    UnlinkedAccount,
)
from registrar.outbox import adding
from tests.factories.progress import make_card, make_interaction, make_rating

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LANGUAGES = ["ar", "en"]
CAPTIONS = {"language": "ar", "cues": [{"start": 0, "end": 1, "text": "أهلا"}]}


def url(model, page, *args):
    return reverse(
        f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args
    )


@pytest.fixture
def world(player, plan, stage):
    """Create at least one row of everything that the admin shows."""
    PublishingSettings.get_solo()
    Product.objects.create(code="MATHS-5", title="Maths, grade 5")
    MediaFile.objects.create(
        kind=MediaKind.VIDEO, path="unit/a.mp4", name="a.mp4", captions=[CAPTIONS]
    )
    for model in (Grade, Season, Stream):
        model.objects.create(title=f"A {model.__name__}")
    User.objects.create_user("aide@example.com", "staff-password-1", is_staff=True)
    devices.add(player_id=player.pk, device_id=uuid.uuid4())
    ScheduledChange.objects.create(
        plan=plan, target_title=plan.title, action="publish", due_at=NOW
    )
    group = StudyGroup.objects.create(name="5 A", plan=plan)
    groups.add_members([(group.pk, player.pk)])
    StudentImport.objects.create(total=1)
    make_interaction(player)
    StructureProgress.objects.create(
        player=player, subject_id="SUBJ-1", last_synced_at=NOW
    )
    make_rating(make_card(player))
    audit.record(SecurityEventType.LOGIN, user_id=player.user_id)
    LogEntry.objects.log_actions(player.user_id, [plan], CHANGE, single_object=True)
    Erasure.objects.create(
        player_number=7, user_number=8, keeps_ledger=False, erased_at=NOW
    )
    Publication.objects.create(plan=plan, plan_public_id=plan.public_id)
    HealthReport.objects.create(
        is_full=True, started_at=NOW, finished_at=NOW, findings={"missing": []}
    )
    Alert.objects.create(
        kind="disk_low", message="2 % are free.", raised_at=NOW, seen_at=NOW
    )
    for status in SyncStatus:
        SyncLog.objects.create(
            plan=plan,
            plan_public_id=plan.public_id,
            status=status,
            trigger="admin",
            created_at=NOW,
            error="The title is too long.\nTraceback",
            error_document="plans/P/manifest.json",
            error_json_path="$.subjects[0].title",
        )
    for module in MAPPINGS:
        apply_record(module, {"id": "1"}, read_at=NOW)
    record = {"id": "2", "Enrollment_Status": "odd", "Classes": {"id": "404"}}
    apply_record("BTEC_Enrollments", record, read_at=NOW)
    delivery = Delivery.objects.create(
        endpoint="webhooks", verifier="hmac", body=b"{}", received_at=NOW
    )
    for decision in ({"records": 3}, Decision(Outcome.CREATED).document()):
        Hint.objects.create(
            delivery=delivery,
            module="Products",
            operation="list",
            created_at=NOW,
            due_at=NOW,
            decision=decision,
        )
    MoodleGrade.objects.create(
        composite_key="1-2-3-0",
        course_id=1,
        assignment_id=2,
        user_id=3,
        attempt=0,
        grade="P",
        criteria=[{"code": "P1", "is_achieved": True}],
        changed_at=NOW,
    )
    GradePoll.objects.create(pk=1, last_error="Moodle is in maintenance.")
    PeerState.objects.create(peer="zoho")
    RegistrarSettings.get_solo()
    RequestWindow.objects.create(kind="enrol")
    UnlinkedAccount.objects.create(
        moodle_id=9, found_at=NOW, reason="taken", module="BTEC_Students", record_id="1"
    )
    student = Student.objects.get(zoho_id="1")
    StudentAccount.objects.create(student=student, player=player)
    submission = Submission.objects.create(
        uuid=uuid.uuid4(), student=student, kind="card", created_at=NOW
    )
    StudentCard.objects.create(
        student=student,
        submission=submission,
        number="R-1",
        issued_at=NOW,
        valid_until=NOW.date(),
    )
    rule = ProgramAccess.objects.create(program_id="1", plan=plan)
    GivenAccess.objects.create(
        rule=rule, player=player, kind="plan", plan_id=plan.pk, row_id=1
    )
    adding.add(
        kind=Kind.COURSE, module="BTEC_Classes", record_id="1", version=1, now=NOW
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_answers(browser, world, language):
    browser.cookies["django_language"] = language
    for path in (reverse("admin:index"), reverse("admin:password_change")):
        assert browser.get(path).status_code == 200
    for model, model_admin in admin.site._registry.items():
        page = browser.get(url(model, "changelist"), follow=True)
        assert page.status_code == 200, model
        assert f'lang="{language}"' in page.content.decode(), model
        first = model._default_manager.first()
        if first is not None:
            assert browser.get(url(model, "change", first.pk)).status_code == 200, model
            history = browser.get(url(model, "history", first.pk))
            assert history.status_code == 200, model
        if model_admin.has_add_permission(page.wsgi_request):
            assert browser.get(url(model, "add")).status_code == 200, model
        if model_admin.search_fields:
            found = browser.get(url(model, "changelist"), {"q": "title of 2"})
            assert found.status_code == 200, model


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sign_in_page_offers_the_other_language(client, db, language):
    client.cookies["django_language"] = language
    page = client.get(reverse("admin:login")).content.decode()
    other = {"ar": "en", "en": "ar"}[language]
    assert f'name="language" value="{other}"' in page
    assert f'dir="{"rtl" if language == "ar" else "ltr"}"' in page


def test_switching_the_language_keeps_the_page(browser, plan):
    here = url(AcademicPlan, "change", plan.pk)
    answer = browser.post(reverse("set_language"), {"language": "ar", "next": here})
    assert answer.url == here
    assert 'lang="ar"' in browser.get(here).content.decode()


def test_a_failed_run_is_told_in_words_with_its_place(browser, world):
    failed = SyncLog.objects.get(status=SyncStatus.FAILED)
    page = browser.get(url(SyncLog, "change", failed.pk)).content.decode()
    assert "The title is too long." in page
    assert "plans/P/manifest.json" in page
    assert "$.subjects[0].title" in page


@pytest.mark.parametrize(
    "model",
    [
        SyncLog,
        Publication,
        SecurityEvent,
        LogEntry,
        InteractionLog,
        StructureProgress,
        ReviewCard,
        ReviewRating,
        HealthReport,
        Alert,
    ],
)
def test_what_was_recorded_is_written_by_nobody(browser, world, model):
    row = model._default_manager.first()
    assert browser.get(url(model, "add")).status_code == 403
    assert browser.post(url(model, "change", row.pk), {}).status_code == 403
    assert (
        browser.post(url(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    )
    browser.post(
        url(model, "changelist"),
        {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"},
    )
    assert model._default_manager.filter(pk=row.pk).exists()


CONTENT = "admin:content_node_changelist"
PLANS = "admin:plans_academicplan_changelist"
PLAYERS = "admin:players_playerprofile_changelist"
USERS = "admin:players_user_changelist"
SETTINGS = "admin:publishing_publishingsettings_change"
LOG = "admin:publishing_synclog_changelist"
LEDGER = "admin:progress_interactionlog_changelist"


@pytest.mark.parametrize(
    ("role", "opened", "closed"),
    [
        ("Content Editors", [CONTENT, PLANS], [PLAYERS, USERS, SETTINGS, LEDGER]),
        ("Publishers", [CONTENT, PLANS, SETTINGS, LOG], [PLAYERS, USERS, LEDGER]),
        ("Support", [PLAYERS, USERS, LEDGER], [CONTENT, PLANS, SETTINGS, LOG]),
        (
            "System Managers",
            [CONTENT, PLANS, PLAYERS, USERS, SETTINGS, LOG, LEDGER],
            [],
        ),
    ],
)
def test_each_role_opens_its_own_pages_only(
    client_of, staff, world, role, opened, closed
):
    browser = client_of(staff(role))
    assert browser.get(reverse("admin:index")).status_code == 200
    for name in opened:
        assert browser.get(reverse(name)).status_code == 200, name
    for name in closed:
        assert browser.get(reverse(name)).status_code == 403, name


def test_an_editor_reads_plans_but_does_not_publish(client_of, editor, plan):
    browser = client_of(editor)
    assert browser.get(url(AcademicPlan, "change", plan.pk)).status_code == 200
    assert browser.post(url(AcademicPlan, "change", plan.pk), {}).status_code == 403
    browser.post(
        url(AcademicPlan, "changelist"),
        {"action": "publish_now", "_selected_action": [plan.pk]},
    )
    assert not SyncLog.objects.exists()


def test_a_student_cannot_enter(client_of, player):
    answer = client_of(player.user).get(reverse("admin:index"))
    assert answer.status_code == 302
    assert reverse("admin:login") in answer.url

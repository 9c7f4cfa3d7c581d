"""Erasing a student leaves no data anywhere, whichever step fails."""

import base64
import io
import json
import os
import sys
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.apps import apps
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session as AdminSession
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import models
from PIL import Image
from redis.exceptions import RedisError

from core import statement_guard
from memora_site import checks
from plans.models import Season
from players import audit, keys, records, wallet_sync
from players.errors import (
    PlayerNotFoundError,
    StaffAccountError,
    StoreAwayError,
)
from players.models import (
    Device,
    DeviceReplacement,
    EndedSession,
    Entitlement,
    Erasure,
    GroupMember,
    PasswordResetCode,
    PlayerProfile,
    PlayerWallet,
    SecurityEvent,
    SecurityEventType,
    Session,
    StudyGroup,
    User,
)
from players.player_state import SubjectProgress, WalletState
from players.services import (
    accounts,
    devices,
    erasure,
    export,
    photos,
    retention,
    wallet,
)
from players.services.erasure import Fate
from players.tasks import apply_retention, finish_erasures
from progress.models import (
    ArchivedInteraction,
    ArchivedRating,
    Baseline,
    BaselineSubject,
    ClosedSeason,
    DeviceSequence,
    HeldEvent,
    InteractionLog,
    InteractionType,
    PlayerLesson,
    PlayerQuestion,
    ReviewWatermark,
    StatisticsWatermark,
    StructureProgress,
)
from progress.services import erasure as progress_erasure, ledger, snapshots, writing
from registrar.models import GivenAccess, ProgramAccess, Student, StudentAccount
from tests.factories.progress import make_card, make_rating
from tests.players.app import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime(2026, 3, 2, 12, 34, 56, tzinfo=UTC)
LATER = NOON + erasure.LATE_WRITES
DEVICE = uuid.UUID("7d0b3c1e-5a4f-4c1b-9e0d-2f6a8b1c3d5e")
NEEDLES = (
    *("Zubaydah", "zubaydah@school.example", "203.0.113.77", "Zubaydah's phone"),
    *("America/Argentina/Ushuaia", "SCHOOL-4711", "+9647701234567"),
    *(repr(DEVICE), "her reason", "KEY-OF-HERS", "her answer"),
    *("f" * 64, "e" * 64, "d" * 64),
)
SUBJECT = "SUBJ-OF-HERS"


@pytest.fixture
def manager(db):
    return User.objects.create_superuser("mona@school.example", PASSWORD)


@pytest.fixture
def make_student(plan, manager, redis_client):
    """Return a function that creates a student with data in every possible place."""

    def make() -> PlayerProfile:
        player = accounts.create_player(
            "zubaydah@school.example", PASSWORD, "Zubaydah", plan=plan
        )
        buffer = io.BytesIO()
        Image.new("RGB", (8, 6)).save(buffer, "PNG")
        player.photo = SimpleUploadedFile("Zubaydah.png", buffer.getvalue())
        player.locale, player.time_zone = "en", "America/Argentina/Ushuaia"
        player.time_zone_changed_at = NOON
        player.school_number, player.phone = "SCHOOL-4711", "+9647701234567"
        player.save()
        device = devices.add(
            player_id=player.pk,
            device_id=DEVICE,
            name="Zubaydah's phone",
            ip_address="203.0.113.77",
        )
        Session.objects.create(
            player=player, device=device, token_sha256="f" * 64, created_at=NOON
        )
        EndedSession.objects.create(
            player=player, token_sha256="e" * 64, reason="replaced"
        )
        DeviceReplacement.objects.create(player=player, replaced_at=NOON)
        PasswordResetCode.objects.create(
            player=player, code_hash="d" * 64, attempts_left=5, expires_at=LATER
        )
        Entitlement.objects.create(player=player, item="PHYSICS")
        group, _made = StudyGroup.objects.get_or_create(name="5 A")
        GroupMember.objects.create(group=group, player=player)
        InteractionLog.objects.create(
            player=player,
            type=InteractionType.LESSON_COMPLETED,
            reference_id="LES-1",
            subject_id=SUBJECT,
            bit_index=0,
            hearts=4,
            xp=23,
            data={"answer": "her answer"},
            day=NOON.date(),
            seq=1,
            event_id=ledger.client_event("KEY-OF-HERS"),
            device_id=DEVICE,
            best_hearts=4,
            first_of="LES-1",
            occurred_at=NOON,
            received_at=NOON,
        )
        wallet.correct(
            player_id=player.pk,
            xp=5,
            reason="her reason",
            actor_id=manager.pk,
            ip_address="203.0.113.77",
            now=NOON,
        )
        StructureProgress.objects.create(
            player=player, subject_id=SUBJECT, last_synced_at=NOON
        )
        card = make_card(player, subject_id=SUBJECT)
        make_rating(
            card,
            idempotency_key=ledger.client_event("KEY-OF-HERS"),
            batch={"response": "her answer"},
            device_id=DEVICE,
        )
        season, _made = Season.objects.get_or_create(title="2025-2026")
        closed, _made = ClosedSeason.objects.get_or_create(
            season=season, defaults={"until": NOON, "started_at": NOON}
        )
        ArchivedInteraction.objects.create(
            player=player,
            season=closed,
            type=InteractionType.LESSON_COMPLETED,
            reference_id="LES-0",
            subject_id=SUBJECT,
            data={"answer": "her answer"},
            seq=1,
            event_id=ledger.client_event("OLD-KEY-OF-HERS"),
            device_id=DEVICE,
            occurred_at=NOON,
            received_at=NOON,
        )
        ArchivedRating.objects.create(
            player=player,
            season=closed,
            card=card,
            position=1,
            rating=3,
            item_id=card.item_id,
            lesson_id=card.lesson_id,
            subject_id=SUBJECT,
            batch={"response": "her answer"},
            device_id=DEVICE,
            reviewed_at=NOON,
            received_at=NOON,
        )
        Baseline.objects.create(player=player, seq=1)
        BaselineSubject.objects.create(
            player=player, subject_id=SUBJECT, seq=1, last_seq=1, xp=3
        )
        DeviceSequence.objects.create(player=player, device_id=DEVICE, last_seq=3)
        HeldEvent.objects.create(
            player=player,
            event_id=ledger.client_event("HELD-KEY-OF-HERS"),
            lesson_id="LES-2",
            hearts=5,
            device_id=DEVICE,
            device_seq=3,
            device_time=NOON,
            occurred_at=NOON,
            received_at=NOON,
        )
        ReviewWatermark.objects.create(player=player)
        record, _made = Student.objects.get_or_create(
            zoho_id="4711", defaults={"read_at": NOON}
        )
        StudentAccount.objects.create(student=record, player=player)
        rule, _made = ProgramAccess.objects.get_or_create(program_id="4712", plan=plan)
        GivenAccess.objects.create(
            rule=rule, player=player, kind="plan", plan_id=plan.pk, row_id=1
        )
        PlayerLesson.objects.create(
            player=player,
            lesson_id="LES-1",
            attempts=1,
            completions=1,
            hearts=4,
            first_at=NOON,
            pace=1,
        )
        PlayerQuestion.objects.create(
            player=player, lesson_id="LES-1", item_id="ITEM-1", failures=1
        )
        StatisticsWatermark.objects.create(player=player)
        audit.record(
            SecurityEventType.RATE_LIMITED, device_id=DEVICE, ip_address="203.0.113.77"
        )
        for model, pk in ((PlayerProfile, player.pk), (User, player.user_id)):
            LogEntry.objects.create(
                user=manager,
                content_type=ContentType.objects.get_for_model(model),
                object_id=str(pk),
                object_repr="Zubaydah",
                action_flag=CHANGE,
                change_message=json.dumps(
                    [{"added": {"name": "device", "object": "Zubaydah's phone"}}]
                ),
            )
        for model in (AccessLog, AccessAttempt, AccessFailureLog):
            extra = {"failures_since_start": 1} if model is AccessAttempt else {}
            row = model(
                username="zubaydah@school.example",
                ip_address="203.0.113.77",
                user_agent="Zubaydah's phone",
                **extra,
            )
            model.objects.bulk_create([row])  # without signals: axes would count it
        fill_redis(redis_client, player.pk)
        return player

    return make


def fill_redis(redis_client, player_id: int) -> None:
    subject = SubjectProgress(b"\x80", b"\x04", 23)
    state = WalletState(seq=2, total_xp=28, current_streak=1)
    assert records.create(player_id, wallet=state, subjects={SUBJECT: subject})
    redis_client.set(keys.access(player_id), b"v1|[]")


@pytest.fixture
def student(make_student):
    return make_student()


@pytest.fixture(params=erasure.LEDGERS)
def way(request, settings):
    settings.ERASED_LEDGER = request.param
    return request.param


def erase(player_id: int, now: datetime = NOON, **by) -> Erasure:
    return erasure.erase(player_id=player_id, now=now, **by)


def everything_in_the_database() -> str:
    return "\n".join(
        str(row)
        for model in apps.get_models(include_auto_created=True)
        if not model._meta.proxy
        for row in models.QuerySet(model).values()
    )


def everything_in_redis(redis_client) -> dict[bytes, str]:
    readers = {
        b"string": redis_client.get,
        b"hash": redis_client.hgetall,
        b"set": redis_client.smembers,
        b"zset": lambda key: redis_client.zrange(key, 0, -1),
    }
    return {
        key: str(readers[redis_client.type(key)](key))
        for key in redis_client.scan_iter()
    }


def assert_nothing_remains(redis_client, player_id: int) -> None:
    database = everything_in_the_database()
    held = everything_in_redis(redis_client)
    for needle in NEEDLES:
        assert needle not in database
        assert needle not in str(held)
    tag = f"{{{player_id}}}".encode()
    assert [key for key in held if tag in key] == []
    _folders, names = default_storage.listdir("photos")
    assert names == []


# --- Every place that holds data ------------------------------------------------------


def test_nothing_of_a_student_remains(student, way, redis_client):
    held = everything_in_the_database()
    assert [needle for needle in NEEDLES if needle not in held] == ["KEY-OF-HERS"]
    number = student.pk
    result = erase(number)
    assert result.remaining == []
    assert_nothing_remains(redis_client, number)


def labels_of(*starts: type[models.Model]) -> set[str]:
    """Return every relation that leads to one of these models, hidden ones included.

    Of a many-to-many field that of its table.
    """
    return {
        f"{found.related_model._meta.label}.{found.field.name}"
        for start in starts
        for found in start._meta.get_fields(include_hidden=True)
        if found.auto_created and not found.concrete and not found.many_to_many
    }


def test_every_relation_to_a_student_has_a_rule_of_erasure():
    ruled = {held.relation for held in erasure.holdings()}
    assert labels_of(User, PlayerProfile) == ruled, (
        "say in players/services/erasure.py (or in a holder's HOLDINGS) what erasing a "
        "student does to these rows, and in docs/privacy.md what they are"
    )


def test_what_hangs_on_a_student_s_own_rows_goes_with_them():
    own = [held.model for held in erasure.holdings() if held.fate is Fate.DELETED]
    own += [held.model for held in erasure.holdings() if held.fate is Fate.LEDGER]
    ruled = {held.relation.rpartition(".")[0] for held in erasure.holdings()}
    for start in set(own) - {PlayerProfile}:
        for label in labels_of(start):
            assert label.rpartition(".")[0] in ruled, label


PERSONAL = {
    "players.User.email",
    "players.User.full_name",
    "players.User.full_name_folded",
    "players.PlayerProfile.photo",
    "players.PlayerProfile.phone",
    "players.PlayerProfile.school_number",
    "players.Erasure.photo",
    "players.Erasure.player_number",
    "players.Erasure.user_number",
    "players.Device.device_id",
    "players.SecurityEvent.device_id",
    "progress.InteractionLog.device_id",
    "progress.ReviewRating.device_id",
    "progress.ArchivedInteraction.device_id",
    "progress.ArchivedRating.device_id",
    "progress.DeviceSequence.device_id",
    "progress.HeldEvent.device_id",
    "players.SecurityEvent.ip_address",
    "admin.LogEntry.object_repr",
    *(
        f"axes.{model}.{column}"
        for model in ("AccessAttempt", "AccessFailureLog", "AccessLog")
        for column in ("username", "ip_address", "user_agent")
    ),
}
"""Columns that name a person without a foreign key; `make_student` fills each of
them."""
COPIED_FROM_THE_CRM = {
    *(
        f"registrar.Student.{column}"
        for column in (
            *("academic_email", "birth_date", "phone_number"),
            "emergency_phone_number",
        )
    ),
    *(
        f"registrar.Teacher.{column}"
        for column in ("email", "academic_email", "phone_number")
    ),
}
"""Columns of the registrar's mirror: its people are not players, and are erased in the
CRM (docs/privacy.md)."""
WORDS = (
    *("email", "full_name", "username", "ip_address", "user_agent", "device_id"),
    *(
        "photo",
        "object_repr",
        "player_number",
        "user_number",
        "phone",
        "school_number",
        "birth",
    ),
)


def test_every_column_that_names_a_person_is_known():
    found = {
        f"{model._meta.label}.{field.name}"
        for model in apps.get_models()
        if not model._meta.proxy
        for field in model._meta.concrete_fields
        if not field.is_relation and any(word in field.name for word in WORDS)
    }
    assert found == PERSONAL | COPIED_FROM_THE_CRM


def test_a_deleted_ledger_leaves_no_row_of_the_student(student, settings):
    settings.ERASED_LEDGER = "delete"
    number, user = student.pk, student.user_id
    erase(number)
    assert not InteractionLog.objects.filter(player_id=number).exists()
    assert not PlayerProfile.objects.filter(pk=number).exists()
    assert not User.objects.filter(pk=user).exists()


def test_a_kept_ledger_stays_under_its_own_player_without_details(student, settings):
    settings.ERASED_LEDGER = "pseudonymise"
    before = dict(InteractionLog.objects.values_list("pk", "player_id"))
    erase(student.pk)
    assert dict(InteractionLog.objects.values_list("pk", "player_id")) == before
    row = InteractionLog.objects.get(type=InteractionType.LESSON_COMPLETED)
    assert (row.reference_id, row.hearts, row.xp, row.day) == (
        *("LES-1", 4, 23),
        NOON.date(),
    )
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    assert row.occurred_at == row.received_at == midnight
    assert (row.data, row.event_id, row.device_id) == ({}, f"erased-{row.pk}", None)
    assert ledger.wallet_of(student.pk).total_xp == 28


def test_of_the_account_of_a_kept_ledger_only_its_number_remains(student, settings):
    settings.ERASED_LEDGER = "pseudonymise"
    erase(student.pk)
    profile = PlayerProfile.objects.get(pk=student.pk)
    filled = {
        field.name
        for row in (profile, profile.user)
        for field in row._meta.concrete_fields
        if field.null or field.blank
        if getattr(row, field.attname) not in (None, "", False, [])
    }
    assert filled == {"id", "erased_at", "created_at", "date_joined"}
    assert profile.created_at == profile.user.date_joined == profile.erased_at == NOON
    assert not profile.user.is_active
    assert not profile.user.has_usable_password()
    assert not PlayerWallet.objects.filter(pk=student.pk).exists()


def test_an_erased_student_is_signed_out_and_cannot_sign_in(
    make_student, app, way, plan
):
    player = accounts.create_player("lina@school.example", PASSWORD, plan=plan)
    assert app.sign_in("lina@school.example").status_code == 200
    erase(player.pk)
    assert app.get("me/").status_code == 401
    assert app.sign_in("lina@school.example").json()["error_code"] == (
        "INVALID_CREDENTIALS"
    )
    assert app.sign_in(f"erased-{player.user_id}@erased.invalid").status_code == 401


def test_others_lose_nothing(student, way, plan):
    other = accounts.create_player("lina@school.example", PASSWORD, "Lina", plan=plan)
    audit.record(SecurityEventType.LOGIN, user_id=other.user_id, ip_address="10.0.0.1")
    InteractionLog.objects.create(
        player=other,
        seq=1,
        event_id="1",
        type="lesson_failed",
        data={"x": 1},
        occurred_at=NOON,
        received_at=NOON,
    )
    before = {
        model: list(models.QuerySet(model).filter(**{path: other.pk}).values())
        for model, path in (
            *((User, "player"), (PlayerProfile, "pk"), (PlayerWallet, "pk")),
            *((InteractionLog, "player"), (SecurityEvent, "user__player")),
        )
    }
    erase(student.pk)
    for model, rows in before.items():
        path = {User: "player", SecurityEvent: "user__player", InteractionLog: "player"}
        found = models.QuerySet(model).filter(**{path.get(model, "pk"): other.pk})
        assert list(found.values()) == rows


def test_the_audit_trail_says_who_erased_whom_by_number(student, manager):
    erase(student.pk, actor_id=manager.pk, ip_address="198.51.100.4")
    event = SecurityEvent.objects.get(type=SecurityEventType.PLAYER_ERASED)
    assert (event.actor, event.user, event.details) == (
        *(manager, None),
        {"player": student.pk},
    )


def test_the_lines_of_the_trail_stay_without_the_person(student, way):
    kinds = list(SecurityEvent.objects.values_list("type", flat=True))
    erase(student.pk)
    left = SecurityEvent.objects.exclude(type=SecurityEventType.PLAYER_ERASED)
    kept = Counter(left.values_list("type", flat=True))
    assert Counter(kinds) <= kept
    assert not left.filter(user_id=student.user_id).exists()


def test_who_works_in_the_admin_is_not_erased(student):
    User.objects.filter(pk=student.user_id).update(is_staff=True)
    with pytest.raises(StaffAccountError):
        erase(student.pk)
    assert not Erasure.objects.exists()


def test_the_work_of_one_who_was_staff_stays_without_a_name(student, settings, plan):
    settings.ERASED_LEDGER = "delete"
    LogEntry.objects.create(
        user_id=student.user_id,
        content_type=ContentType.objects.get_for_model(plan),
        object_id=str(plan.pk),
        object_repr="Grade 5",
        action_flag=CHANGE,
    )
    erase(student.pk)
    entry = LogEntry.objects.get(user_id=student.user_id)
    assert entry.object_repr == "Grade 5"
    assert entry.user.full_name == entry.user.full_name_folded == ""
    assert entry.user.email == f"erased-{student.user_id}@erased.invalid"


def test_there_is_nobody_to_erase(db):
    with pytest.raises(PlayerNotFoundError):
        erase(12345)


# --- Failures -------------------------------------------------------------------------


def test_without_redis_a_signed_in_student_is_not_touched(student, settings, tmp_path):
    before = everything_in_the_database()
    url = settings.REDIS_URL
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    with pytest.raises(StoreAwayError):
        erase(student.pk)
    assert everything_in_the_database() == before
    settings.REDIS_URL = url
    assert erase(student.pk).remaining == []


def test_a_redis_that_goes_away_is_named_and_cleaned_later(
    student, way, redis_client, monkeypatch
):
    def away(*_args):
        raise RedisError("away")

    with monkeypatch.context() as patch:
        patch.setattr(records, "forget_player", away)
        assert erase(student.pk).remaining == ["redis"]
        assert erase(student.pk).remaining == ["redis"]
    finish_erasures()
    assert Erasure.objects.get().remaining == []
    assert_nothing_remains(redis_client, student.pk)


def test_a_disk_that_refuses_is_named_and_cleaned_later(
    student, way, redis_client, monkeypatch
):
    def refuse(*_args):
        raise OSError("read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(default_storage, "delete", refuse)
        assert erase(student.pk).remaining == ["files"]
    assert erase(student.pk).remaining == []
    assert_nothing_remains(redis_client, student.pk)


def test_a_replaced_photo_that_is_still_on_the_disk_goes_too(student, redis_client):
    old = Path(default_storage.path("photos/Zubaydah before.png"))
    old.write_bytes(b"x")
    long_ago = NOON.timestamp() - 86400
    os.utime(old, (long_ago, long_ago))
    erase(student.pk)
    assert_nothing_remains(redis_client, student.pk)


class ProcessDies(BaseException):
    """Not caught by any code, like SIGKILL."""


def die_at(count: int):
    """Return a tracer that ends the process at the n-th line of the erasing code."""
    ours = {
        str(Path(module.__file__))
        for module in (erasure, progress_erasure, photos, records)
    }
    left = count

    def trace(frame, event, _argument):
        nonlocal left
        if frame.f_code.co_filename not in ours:
            return None
        if event == "line":
            left -= 1
            if left < 0:
                raise ProcessDies
        return trace

    return trace


def test_a_process_that_dies_at_any_line_leaves_an_erasure_that_can_be_finished(
    make_student, way, redis_client
):
    line, died = 0, True
    step = 1 if way == "delete" else 3
    while died:
        number = make_student().pk
        tracer = sys.gettrace()
        sys.settrace(die_at(line))
        try:
            erase(number)
            died = False
        except ProcessDies:
            pass
        finally:
            sys.settrace(tracer)
        assert erase(number).remaining == [], line
        assert_nothing_remains(redis_client, number)
        with statement_guard.rewriting():
            SecurityEvent.objects.all()._raw_delete("default")
        line += step
    assert line > 60


# --- Concurrent requests ------------------------------------------------------------


def test_a_completion_under_way_brings_nothing_back(student, way, redis_client):
    start = writing.begin(student.pk, [SUBJECT])
    erase(student.pk)
    row = InteractionLog(
        player_id=student.pk,
        seq=start.next_seq,
        type=InteractionType.LESSON_COMPLETED,
        reference_id="LES-2",
        subject_id=SUBJECT,
        bit_index=1,
        hearts=5,
        best_hearts=5,
        xp=30,
        data={"answer": "her answer"},
        day=NOON.date(),
        event_id=ledger.client_event("KEY-OF-HERS"),
        occurred_at=NOON,
        received_at=NOON,
    )
    if way == "delete":
        with pytest.raises(ledger.PlayerDeletedError):
            ledger.append([row])
    else:
        ledger.append([row])
        writing.finish(start, replace(start.wallet, seq=row.seq), start.subjects)
    # A request that read the access before the erasure and begins its write after it.
    writing.from_ledger(student.pk, [SUBJECT])
    erasure.finish_all(now=NOON + timedelta(minutes=1))
    assert Erasure.objects.get().finished_at is None
    assert erasure.finish_all(now=LATER) == 0
    assert Erasure.objects.get().finished_at == LATER
    assert_nothing_remains(redis_client, student.pk)


def test_an_erased_student_s_wallet_is_not_written_back(student, way, redis_client):
    erase(student.pk)
    wallet_sync.sync_pending_wallets()
    wallet_sync.sync_pending_wallets(force=True)
    assert not PlayerWallet.objects.filter(pk=student.pk).exists()
    assert not redis_client.exists(keys.wallet(student.pk))


def test_a_write_back_that_has_begun_brings_no_wallet_back(
    student, way, redis_client, monkeypatch
):
    current = wallet_sync._current

    def erased_afterwards(changes):
        states = current(changes)
        assert student.pk in states
        erase(student.pk)
        return states

    monkeypatch.setattr(wallet_sync, "_current", erased_afterwards)
    wallet_sync.sync_pending_wallets()
    assert not PlayerWallet.objects.filter(pk=student.pk).exists()
    assert_nothing_remains(redis_client, student.pk)


def test_an_erased_student_s_progress_is_not_written_back(student, way):
    erase(student.pk)
    snapshots.sync_pending(force=True)
    assert not StructureProgress.objects.filter(player_id=student.pk).exists()


def test_staff_give_an_erased_student_nothing(student, way, manager):
    erase(student.pk)
    with pytest.raises(PlayerNotFoundError):
        devices.add(player_id=student.pk, device_id=uuid.uuid4())
    with pytest.raises(PlayerNotFoundError):
        wallet.correct(
            player_id=student.pk, xp=1, reason="x", actor_id=manager.pk, now=NOON
        )
    assert not Device.objects.exists()


# --- Export -------------------------------------------------------------------------


def test_the_export_holds_everything_that_erasing_removes(student):
    document = export.export_player(player_id=student.pk, now=NOON)
    text = export.as_json(document)
    secrets = {"KEY-OF-HERS", "f" * 64, "e" * 64, "d" * 64, repr(DEVICE)}
    assert {needle for needle in NEEDLES if needle not in text} == secrets
    names = {held.name for held in erasure.holdings() if held.name}
    assert all(document[name] for name in names)
    personal = {Fate.DELETED, Fate.EMPTIED, Fate.LEDGER}
    unnamed = {
        held.relation
        for held in erasure.holdings()
        if held.fate in personal and not held.name
    }
    assert unnamed == {
        "players.PlayerProfile.user",  # the part called "player"
        "players.StaffRequest.owner",  # of former staff, for a day
        "content.FormDraft.user",  # unsaved work, of former staff
        "players.User_groups.user",  # rights, of former staff
        "players.User_user_permissions.user",
        "players.StudyGroup_teachers.user",
    }
    picture = base64.b64decode(document["photo"]["base64"])
    assert Image.open(io.BytesIO(picture)).format == "PNG"
    assert document["photo"]["content_type"] == "image/png"
    assert document["wallet"]["total_xp"] == 28


def test_the_export_names_no_hash_and_no_member_of_staff(student, manager):
    text = export.as_json(export.export_player(player_id=student.pk, now=NOON))
    assert student.user.password not in text
    assert manager.email not in text
    assert "f" * 64 not in text


def test_an_export_is_audited(student, manager):
    export.export_player(
        player_id=student.pk, actor_id=manager.pk, ip_address="198.51.100.4", now=NOON
    )
    event = SecurityEvent.objects.get(type=SecurityEventType.PLAYER_EXPORTED)
    assert (event.user_id, event.actor) == (student.user_id, manager)


def test_an_erased_student_is_not_exported(student, way):
    erase(student.pk)
    with pytest.raises(PlayerNotFoundError):
        export.export_player(player_id=student.pk, now=NOON)


def test_a_photo_whose_file_is_missing_stops_no_export(student):
    Path(student.photo.path).unlink()
    assert export.export_player(player_id=student.pk, now=NOON)["photo"] is None


# --- Commands -----------------------------------------------------------------------


def test_the_command_erases_by_address_and_says_so(student, capsys):
    call_command("erase_player", "Zubaydah@School.example", "--yes", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    assert (told["player"], told["remaining"]) == (student.pk, [])
    assert not User.objects.filter(pk=student.user_id).exists()


def test_the_command_asks_for_a_yes(student, capsys):
    with pytest.raises(CommandError, match="--yes") as refusal:
        call_command("erase_player", str(student.pk))
    assert refusal.value.returncode == 2
    assert PlayerProfile.objects.filter(pk=student.pk).exists()


@pytest.mark.parametrize("command", ["erase_player", "export_player"])
def test_a_command_knows_no_such_player(db, command, capsys):
    with pytest.raises(CommandError, match="no player nobody@x") as refusal:
        call_command(command, "nobody@x.example", "--json")
    assert refusal.value.returncode == 2
    assert not json.loads(capsys.readouterr().out)["ok"]


def test_the_command_says_what_remains_and_finishes_by_number(
    student, monkeypatch, capsys
):
    def away(*_args):
        raise RedisError("away")

    with monkeypatch.context() as patch:
        patch.setattr(records, "forget_player", away)
        with pytest.raises(CommandError, match="redis") as refusal:
            call_command("erase_player", str(student.pk), "--yes", "--json")
        assert refusal.value.returncode == 1
        assert json.loads(capsys.readouterr().out)["remaining"] == ["redis"]
    call_command("erase_player", str(student.pk), "--yes", "--json")
    assert json.loads(capsys.readouterr().out)["remaining"] == []


def test_the_command_says_that_nothing_was_erased(student, settings, tmp_path):
    settings.REDIS_URL = f"unix://{tmp_path / 'nobody.sock'}"
    with pytest.raises(CommandError, match="Nothing was erased"):
        call_command("erase_player", str(student.pk), "--yes")


def test_the_command_refuses_an_account_of_staff(student, capsys):
    User.objects.filter(pk=student.user_id).update(is_staff=True)
    with pytest.raises(CommandError, match="admin"):
        call_command("erase_player", str(student.pk), "--yes", "--json")
    assert not json.loads(capsys.readouterr().out)["ok"]


def test_the_command_exports_to_a_file_that_only_its_owner_reads(
    student, tmp_path, capsys
):
    file = tmp_path / "student.json"
    call_command("export_player", str(student.pk), "--output", str(file), "--json")
    assert json.loads(capsys.readouterr().out)["ok"]
    assert json.loads(file.read_text())["account"]["name"] == "Zubaydah"
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(CommandError, match="cannot be written"):
        call_command("export_player", str(student.pk), "--output", str(file))


def test_the_command_prints_an_export(student, capsys):
    call_command("export_player", "zubaydah@school.example")
    assert json.loads(capsys.readouterr().out)["format"] == export.FORMAT


# --- Retention ----------------------------------------------------------------------


@pytest.fixture
def old_and_new(db):
    """Security events and admin sessions, older and newer than the retention limit."""
    for days in (9, 11):
        at = NOON - timedelta(days=days)
        with time_machine.travel(at, tick=False), audit.because(f"{days} days"):
            audit.record(SecurityEventType.LOGIN)
        AdminSession.objects.create(
            session_key=f"days-{days}",
            session_data="x",
            expire_date=NOON - timedelta(days=days - 10),
        )


def test_what_is_older_than_the_settings_say_is_deleted(old_and_new, settings):
    settings.SECURITY_EVENT_DAYS = 10
    retention.apply(now=NOON)
    assert SecurityEvent.objects.get().details == {"note": "9 days"}
    assert AdminSession.objects.get().session_key == "days-9"


def test_zero_days_keep_every_event(old_and_new, settings):
    settings.SECURITY_EVENT_DAYS = 0
    apply_retention()
    assert SecurityEvent.objects.count() == 2


def test_a_misspelt_way_of_erasing_is_refused_at_start(settings):
    assert not [m for m in checks.check_environment() if m.id == "memora.E040"]
    settings.ERASED_LEDGER = "keep"
    assert [m for m in checks.check_environment() if m.id == "memora.E040"]

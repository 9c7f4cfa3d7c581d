"""Completing lessons: the answer, the record, and the refusals."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
from django.db import DatabaseError, OperationalError, connection, transaction
from django.db.models import QuerySet
from redis.exceptions import ConnectionError as RedisConnectionError

from content import services
from content.kinds import Kind
from content.models import Node
from core.idempotency import IdempotencyConflictError
from core.statement_guard import AppendOnlyError
from plans.services import add_subject, set_override
from players import records
from players.errors import (
    InvalidLessonError,
    NotEnrolledError,
    NotEntitledError,
    SessionUnknownError,
)
from players.models import Entitlement, PlayerProfile
from players.player_state import WalletState
from players.services import access, wallet
from progress.errors import (
    NoHeartsError,
    NotUnlockedError,
)
from progress.models import InteractionLog, InteractionType
from progress.services import completion, ledger, writing
from tests.factories.content import move_node
from tests.progress.conftest import MONDAY, enrolled, make_subject, publish

pytestmark = pytest.mark.django_db


def test_a_first_completion_with_five_hearts_earns_35(student, finish):
    assert finish("0-0").as_answer() == {
        "success": True,
        "xp_earned": 35,
        "new_total_xp": 35,
        "is_first_completion": True,
        "is_new_record": True,
        "streak": {
            "old": 0,
            "new": 1,
            "action": "started",
            "last_success_date": "2026-03-02",
            "freezes": 0,
            "frozen_days": [],
        },
        "unlocked": ["LES-MATH-0-1"],
        "next_lesson_id": "LES-MATH-0-1",
    }
    row = InteractionLog.objects.get()
    assert (row.type, row.xp, row.hearts, row.bit_index, row.subject_id) == (
        "lesson_completed",
        35,
        5,
        0,
        "SUBJ-MATH",
    )


def test_firsts_and_records_are_paid_once(finish):
    earned = [finish("0-0", hearts).xp_earned for hearts in (2, 2, 1, 4, 4, 5)]
    #         10+4+5+10, 10+4, a second repeat, 10+8+10, a third one, 10+10+10
    assert earned == [29, 14, 0, 28, 0, 30]
    assert finish("0-0", 5, day=1).new_total_xp == sum(earned) + 20


def test_the_last_lesson_of_a_unit_opens_the_next_unit(finish):
    finish("0-0")
    result = finish("0-1")
    assert result.unlocked == ["UNIT-MATH-1", "TOP-MATH-1", "LES-MATH-1-0"]
    finish("1-0")
    last = finish("1-1")
    assert (last.unlocked, last.next_lesson_id) == ([], None)


def test_the_streak_grows_day_by_day_and_starts_again_after_a_gap(finish):
    streaks = [finish("0-0", day=day).streak for day in (0, 0, 1, 2, 5, 4, 3)]
    assert [(one.old, one.new, one.action) for one in streaks] == [
        (0, 1, "started"),
        (1, 1, "unchanged"),
        (1, 2, "extended"),
        (2, 3, "extended"),
        (3, 1, "reset"),
        (1, 2, "extended"),  # the clock was set back: one more day in a row
        (2, 6, "extended"),
    ]


def test_the_streak_day_ends_at_midnight_of_the_streak_time_zone(
    student, finish, settings
):
    settings.STREAK_TIME_ZONE = "Asia/Riyadh"  # UTC+3

    def at(hour: int):
        return completion.complete(
            player_id=student.pk,
            lesson_id="LES-MATH-0-0",
            hearts=1,
            idempotency_key=None,
            now=datetime(2026, 3, 2, hour, tzinfo=UTC),
        )

    assert at(20).streak.last_success_date == "2026-03-02"
    assert at(21).streak.action == "extended"


def test_a_locked_lesson_is_refused_and_names_what_comes_first(student, finish):
    with pytest.raises(NotUnlockedError) as refused:
        finish("1-0")
    assert refused.value.details == {"next_lesson_id": "LES-MATH-0-0"}
    assert not InteractionLog.objects.exists()


def test_a_passed_lesson_may_be_played_again_where_the_way_to_it_closed(
    plan, student, finish
):
    finish("0-0")
    finish("0-1")
    finish("1-0")
    first = Node.objects.get(public_id="UNIT-MATH-0")
    late = services.create_node(
        kind=Kind.TOPIC, parent=first, title="Late", is_published=True
    )
    services.create_node(kind=Kind.LESSON, parent=late, title="Late", is_published=True)
    publish(plan)
    assert finish("1-0").success
    with pytest.raises(NotUnlockedError):
        finish("1-1")


def test_no_hearts_completes_nothing_but_the_attempt_is_recorded(student, finish):
    with pytest.raises(NoHeartsError):
        finish("0-0", 0)
    row = InteractionLog.objects.get()
    assert (row.type, row.xp, row.first_of) == (InteractionType.LESSON_FAILED, 0, None)
    held = wallet.get(student.pk)
    assert (held.total_xp, held.current_streak) == (0, 0)
    assert held.last_played_at == MONDAY
    assert finish("0-0").is_first_completion


def test_a_locked_lesson_is_refused_before_its_hearts_are_counted(finish):
    with pytest.raises(NotUnlockedError):
        finish("1-0", 0)
    assert not InteractionLog.objects.exists()


def test_who_is_not_enrolled_completes_nothing(plan, finish, student):
    student.enrollments.all().delete()
    with pytest.raises(NotEnrolledError):
        finish("0-0")


def test_a_lesson_outside_the_plan_is_refused(plan, finish):
    make_subject("OTHER")
    with pytest.raises(InvalidLessonError):
        finish("9-9")


def test_a_hidden_lesson_is_refused(plan, finish):
    target = Node.objects.get(public_id="UNIT-MATH-0")
    set_override(plan=plan, target=target, action="hide")
    publish(plan)
    with pytest.raises(InvalidLessonError):
        finish("0-0")
    assert finish("1-0").is_first_completion


def test_a_paid_lesson_needs_its_product(plan, student, finish):
    target = Node.objects.get(public_id="UNIT-MATH-0")
    set_override(plan=plan, target=target, action="set_sold_separately", value="ITEM-1")
    publish(plan)
    with pytest.raises(NotEntitledError) as refused:
        finish("0-0")
    assert refused.value.details == {"required_item": "ITEM-1"}
    Entitlement.objects.create(
        player=student, item="ITEM-1", valid_until=MONDAY + timedelta(days=1)
    )
    assert finish("0-0").success
    with pytest.raises(NotEntitledError):
        finish("0-0", day=2)


# --- Idempotency ------------------------------------------------------------


def as_bytes(result) -> bytes:
    return orjson.dumps(result.as_answer())


def test_a_repeated_request_is_answered_byte_for_byte(finish):
    first = finish("0-0", 3, key="one")
    finish("0-1", 5)
    assert as_bytes(finish("0-0", 3, key="one")) == as_bytes(first)
    assert as_bytes(finish("0-0", 3, day=3, key="one")) == as_bytes(first)
    assert InteractionLog.objects.count() == 2


def test_a_key_used_with_another_body_is_a_conflict(finish):
    finish("0-0", 3, key="one")
    with pytest.raises(IdempotencyConflictError):
        finish("0-0", 5, key="one")
    assert InteractionLog.objects.count() == 1


def test_a_repeat_is_answered_even_when_the_lesson_is_gone(plan, student, finish):
    first = finish("0-0", key="one")
    student.enrollments.all().delete()
    assert as_bytes(finish("0-0", key="one")) == as_bytes(first)
    with pytest.raises(NotEnrolledError):
        finish("0-0", key="two")


def test_a_repeated_failure_is_refused_again_and_recorded_once(finish):
    for _time in range(3):
        with pytest.raises(NoHeartsError):
            finish("0-0", 0, key="one")
    assert InteractionLog.objects.count() == 1


def test_a_key_used_for_another_lesson_is_a_conflict(finish):
    finish("0-0", key="one")
    finish("0-1", key="two")
    with pytest.raises(IdempotencyConflictError):
        finish("0-1", key="one")
    with pytest.raises(IdempotencyConflictError):
        finish("1-1", key="one")  # locked, but the used key is checked first


def test_keys_are_a_player_s_own_and_compared_exactly(plan, finish):
    finish("0-0", key="one")
    assert finish("0-0", key="ONE").xp_earned == 20
    other = enrolled(plan, "badr@example.com")
    result = completion.complete(
        player_id=other.pk,
        lesson_id="LES-MATH-0-0",
        hearts=5,
        idempotency_key="one",
        now=MONDAY,
    )
    assert result.is_first_completion


# --- The ledger -------------------------------------------------------------


def test_the_ledger_is_append_only(student, finish):
    finish("0-0")
    row = InteractionLog.objects.get()
    row.xp = 1_000
    for change in (
        row.save,
        row.delete,
        InteractionLog.objects.all().delete,
        lambda: InteractionLog.objects.update(xp=1),
        lambda: InteractionLog.objects.bulk_update([row], ["xp"]),
        lambda: InteractionLog.objects.update_or_create(pk=row.pk, defaults={"xp": 1}),
        lambda: InteractionLog.objects.bulk_create([row], update_conflicts=True),
        lambda: InteractionLog.objects.bulk_create([row], ignore_conflicts=True),
        lambda: InteractionLog(pk=row.pk, player=row.player, received_at=MONDAY).save(),
        lambda: InteractionLog._base_manager.update(xp=1),
        lambda: row.player.interactions.update(xp=1),
        lambda: QuerySet(InteractionLog).update(xp=1),
        QuerySet(InteractionLog).delete,
        lambda: InteractionLog.objects.all()._raw_delete("default"),
    ):
        with pytest.raises(AppendOnlyError), transaction.atomic():
            change()
    assert InteractionLog.objects.get().xp == 35


def test_a_player_s_rows_and_keys_go_with_the_player(
    student, finish, redis_client, django_capture_on_commit_callbacks
):
    finish("0-0")
    pk = student.pk
    with django_capture_on_commit_callbacks(execute=True):
        student.user.delete()
    assert not InteractionLog.objects.exists()
    assert not redis_client.keys(f"*{{{pk}}}*SUBJ*")
    assert not redis_client.exists(f"wallet:{{{pk}}}")


@pytest.mark.django_db(transaction=True)
def test_completing_inside_a_transaction_is_refused(student, finish):
    finish("0-0")
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        finish("0-0")
    assert wallet.get(student.pk).total_xp == 35


def test_staff_give_xp_and_the_wallet_follows(
    student, finish, django_capture_on_commit_callbacks
):
    finish("0-0")
    with django_capture_on_commit_callbacks(execute=True):
        state = wallet.correct(
            player_id=student.pk,
            xp=100,
            reason="won the spelling bee",
            actor_id=student.user_id,
            now=MONDAY,
        )
    assert state.total_xp == wallet.get(student.pk).total_xp == 135
    row = InteractionLog.objects.get(type=InteractionType.XP_CORRECTED)
    assert row.data == {"reason": "won the spelling bee", "actor_id": student.user_id}
    assert (state.current_streak, state.last_success_date) == (1, MONDAY.date())
    assert finish("0-0").new_total_xp == 155


def test_a_lesson_moved_to_another_subject_starts_anew_but_is_not_paid_first_again(
    plan, student, finish
):
    finish("0-0", 3)
    add_subject(plan=plan, subject=make_subject("ART", is_linear=False))
    move_node(
        node=Node.objects.get(public_id="LES-MATH-0-0"),
        target=Node.objects.get(public_id="TOP-ART-0"),
        position="last-child",
    )
    publish(plan)
    assert progress_in(student, "SUBJ-ART").passed == 0
    again = finish("0-0", 4)
    assert (again.is_first_completion, again.is_new_record) == (False, True)
    assert progress_in(student, "SUBJ-ART").passed == 1
    assert finish("0-0", 4).xp_earned == 18


# --- Losing Redis or the database -------------------------------------------


def progress_in(student: PlayerProfile, subject_id: str = "SUBJ-MATH"):
    _seq, progress = writing.read_subject(student.pk, subject_id)
    return progress


def truth(student: PlayerProfile):
    held = ledger.wallet_of(student.pk)
    return held, ledger.subjects_of_player(student.pk, ["SUBJ-MATH"], held.seq)[
        "SUBJ-MATH"
    ]


def shown(student: PlayerProfile):
    return wallet.get(student.pk), progress_in(student)


def expire_writes(redis_client) -> None:
    """Let the records expire that a write has begun and not finished."""
    for name in redis_client.keys("wallet:*"):
        if redis_client.pttl(name) <= records.WRITE_MS:
            redis_client.delete(name)


def test_redis_always_shows_what_the_ledger_has(student, finish):
    for place, hearts, day in (
        ("0-0", 2, 0),
        ("0-0", 4, 0),
        ("0-1", 5, 1),
        ("0-0", 1, 3),
    ):
        finish(place, hearts, day=day)
        assert shown(student) == truth(student)


def test_positions_are_numbered_without_gaps(student, finish):
    for place in ("0-0", "0-1", "1-0"):
        finish(place)
    with pytest.raises(NoHeartsError):
        finish("1-1", 0)
    positions = InteractionLog.objects.order_by("pk").values_list("seq", flat=True)
    assert list(positions) == [1, 2, 3, 4]
    assert wallet.get(student.pk).seq == 4


def test_emptying_redis_between_every_step_loses_nothing(
    student, finish, redis_client, monkeypatch
):
    """Redis is emptied before, and between each of the steps of, a completion."""

    plays = [("0-0", 2, 0), ("0-0", 4, 0), ("0-1", 5, 1), ("0-1", 5, 2), ("1-0", 1, 4)]
    total = 0
    for step, (place, hearts, day) in enumerate(plays):
        with monkeypatch.context() as patched:
            for index, (module, name) in enumerate(
                [
                    (access, "of_player"),
                    (writing, "begin"),
                    (ledger, "subjects_of_player"),
                    (ledger, "append"),
                    (records, "put"),
                ]
            ):
                if step in (index, 4):
                    real = getattr(module, name)

                    def run(*args, _real=real, **kwargs):
                        result = _real(*args, **kwargs)
                        redis_client.flushdb()
                        return result

                    patched.setattr(module, name, run)
            total += finish(place, hearts, day=day).xp_earned
        assert shown(student) == truth(student)
        redis_client.flushdb()
        assert shown(student) == truth(student)
    held, progress = shown(student)
    assert held.total_xp == progress.xp == total
    assert (held.current_streak, progress.passed) == (1, 3)
    assert progress.hearts == b"\x04\x05\x01"


class Killed(BaseException):
    """The process was killed."""


def die(*_args, **_kwargs):
    raise Killed


def test_a_writer_killed_after_its_commit_is_repaired_when_its_record_expires(
    student, finish, redis_client, monkeypatch
):
    finish("0-0", 3)
    with monkeypatch.context() as patched:
        patched.setattr(records, "put", die)
        with pytest.raises(Killed):
            finish("0-1", 5, day=1)
    name = f"wallet:{{{student.pk}}}"
    assert redis_client.hget(name, "total_xp") == b"31"
    assert 0 < redis_client.pttl(name) <= records.WRITE_MS
    expire_writes(redis_client)
    assert shown(student) == truth(student)
    assert finish("1-0", day=1).new_total_xp == 31 + 35 + 35
    assert shown(student) == truth(student)


def test_a_writer_after_a_killed_one_decides_on_the_ledger(
    student, finish, redis_client, monkeypatch
):
    finish("0-0", 3)
    with monkeypatch.context() as patched:
        patched.setattr(records, "put", die)
        with pytest.raises(Killed):
            finish("0-0", 5)
    again = finish("0-0", 5)
    assert (again.is_first_completion, again.is_new_record) == (False, False)
    assert shown(student) == truth(student)
    assert redis_client.pttl(f"wallet:{{{student.pk}}}") > records.WRITE_MS


def test_every_record_of_a_player_has_a_life(student, finish, redis_client):
    finish("0-0")
    names = redis_client.keys(f"*{{{student.pk}}}*")
    assert names
    assert all(redis_client.pttl(name) > 0 for name in names)


def test_a_lesson_that_redis_does_not_yet_know_to_be_open_is_open(
    student, finish, monkeypatch
):
    finish("0-0")
    with monkeypatch.context() as patched:
        patched.setattr(records, "put", lambda *_args, **_kwargs: None)
        finish("0-1")
    # The ledger's last position is compared before a completion is refused.
    assert finish("1-0").is_first_completion


def test_a_redis_that_comes_back_with_older_data_pays_nothing_twice(
    student, finish, redis_client
):
    finish("0-0", 3)
    older = {name: redis_client.dump(name) for name in redis_client.keys("*")}
    finish("0-0", 5)
    finish("0-1", 5)
    redis_client.flushdb()
    for name, dumped in older.items():
        redis_client.restore(name, 3_600_000, dumped)
    assert finish("0-0", 5).xp_earned == 20
    assert finish("0-1", 5).xp_earned == 20
    assert shown(student) == truth(student)


def test_a_committed_answer_is_given_though_redis_is_lost_then(
    student, finish, monkeypatch
):
    def gone(*_args, **_kwargs):
        raise RedisConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(records, "put", gone)
        assert finish("0-0", key="one").xp_earned == 35
    assert finish("0-0", key="one").xp_earned == 35
    assert InteractionLog.objects.count() == 1


def test_without_redis_a_completion_is_decided_on_the_ledger(student, finish, settings):
    finish("0-0", 3)
    reachable = settings.REDIS_URL
    settings.REDIS_URL = "unix:///nowhere/redis.sock"
    assert finish("0-0", 5).xp_earned == 30
    assert finish("0-1").is_first_completion
    with pytest.raises(NotUnlockedError):
        finish("1-1")
    assert shown(student) == truth(student)
    settings.REDIS_URL = reachable
    # Redis was away for all writers: the next one finds the position taken.
    assert finish("0-1").xp_earned == 20
    assert shown(student) == truth(student)


def test_without_the_database_nothing_happens(student, finish, redis_client):
    finish("0-0")

    def away(_execute, _sql, *_rest):
        raise OperationalError(2002, "cannot connect")

    with connection.execute_wrapper(away), pytest.raises(OperationalError):
        finish("0-1")
    assert shown(student) == truth(student)
    assert finish("0-1").new_total_xp == 70


@pytest.mark.parametrize("is_committed", [True, False])
@pytest.mark.django_db(transaction=True)
def test_a_connection_lost_at_the_commit_is_looked_up_by_the_event(
    student, finish, is_committed
):
    finish("0-0")
    lost = [OperationalError(2013, "lost connection during query")]

    def break_at_insert(execute, sql, *rest):
        if not sql.startswith("INSERT INTO") or not lost:
            return execute(sql, *rest)
        if is_committed:
            execute(sql, *rest)
        raise lost.pop()

    with connection.execute_wrapper(break_at_insert):
        if is_committed:
            assert finish("0-1").new_total_xp == 70
        else:
            with pytest.raises(DatabaseError):
                finish("0-1")
    assert InteractionLog.objects.count() == 1 + is_committed
    assert shown(student) == truth(student)


def test_a_deadlock_that_mariadb_resolves_against_us_is_tried_again(student, finish):
    refusals = [OperationalError(1213, "deadlock found")] * 2

    def unlucky(execute, sql, *rest):
        if sql.startswith("INSERT INTO") and refusals:
            raise refusals.pop()
        return execute(sql, *rest)

    with connection.execute_wrapper(unlucky):
        assert finish("0-0").xp_earned == 35
    assert refusals == []
    assert shown(student) == truth(student)


def test_a_completion_loses_to_other_completions_once_at_most(
    student, finish, monkeypatch
):
    """Other requests of the player were first at each of 20 attempts."""
    real = ledger.append
    others: list[int] = []

    def after_another(rows):
        if rows[0].reference_id == "LES-MATH-0-1":
            others.append(finish("0-0").new_total_xp)
        real(rows)

    finish("0-0")
    monkeypatch.setattr(ledger, "append", after_another)
    assert finish("0-1").is_first_completion
    assert len(others) == 1
    assert shown(student) == truth(student)


def test_a_request_that_its_repeat_overtook_leaves_no_older_record(
    student, finish, monkeypatch
):
    """It created the record from the ledger as that was before its repeat."""
    real = ledger.append

    def overtaken(rows):
        monkeypatch.setattr(ledger, "append", real)
        finish("0-0", key="one")
        records.forget_player(student.pk, ["SUBJ-MATH"])
        assert records.create(student.pk, wallet=WalletState()) is not None
        real(rows)

    monkeypatch.setattr(ledger, "append", overtaken)
    assert finish("0-0", key="one").new_total_xp == 35
    assert InteractionLog.objects.count() == 1
    assert shown(student) == truth(student)


def test_a_write_that_took_too_long_begins_again(student, finish, monkeypatch):
    finish("0-0")
    slow = [True]

    def is_too_old(_start) -> bool:
        return bool(slow and slow.pop())

    monkeypatch.setattr(writing.Start, "is_too_old", property(is_too_old))
    assert finish("0-1").new_total_xp == 70
    assert slow == []
    assert InteractionLog.objects.count() == 2
    assert shown(student) == truth(student)


@pytest.mark.django_db(transaction=True)
def test_completing_for_a_player_deleted_in_between_is_refused(
    student, finish, monkeypatch
):
    """Their session is not known: 401, and no key is left."""
    finish("0-0")
    real = ledger.append

    def deleted_first(rows):
        student.user.delete()
        real(rows)

    monkeypatch.setattr(ledger, "append", deleted_first)
    with pytest.raises(SessionUnknownError):
        finish("0-1")
    assert not InteractionLog.objects.exists()


# --- Costs ------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("lessons", [5, 200])
def test_a_completion_is_one_insert_whatever_the_size_of_the_subject(
    plan, student, django_assert_num_queries, count_redis, lessons
):
    subject = make_subject("BIG", units=1, lessons=lessons)
    add_subject(plan=plan, subject=subject)
    publish(plan)

    def finish(number: int, hearts: int, key: str | None = None):
        return completion.complete(
            player_id=student.pk,
            lesson_id=f"LES-BIG-0-{number}",
            hearts=hearts,
            idempotency_key=key,
            now=MONDAY,
        )

    finish(0, 3)
    access.of_player(student.pk)
    for number, hearts, key in ((1, 5, None), (1, 5, "k"), (2, 1, "l")):
        count_redis.clear()
        # INSERT INTO progress_interactionlog; before it the day's repeats of a passed
        # lesson that is no record.
        with django_assert_num_queries(1 + (key == "k")) as queries:
            finish(number, hearts, key)
        assert queries.captured_queries[-1]["sql"].startswith("INSERT INTO")
        # plans and products; state and begin; put. The API reads the first two with
        # the session (test_costs).
        assert len(count_redis) == 3

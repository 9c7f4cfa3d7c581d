"""Registrations in Zoho give players plans and products, and take them away."""

import io
import itertools
import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from content import products
from plans.models import AcademicPlan
from players.credentials import canonical_email
from players.errors import StoreAwayError
from players.models import Enrollment, Entitlement, PlayerProfile, SecurityEvent, User
from players.services import accounts, bulk_access, erasure
from registrar import faults, tasks
from registrar.models import (
    GivenAccess,
    Payment,
    Program,
    ProgramAccess,
    Registration,
    Student,
    StudentAccount,
)
from registrar.player_access import applying, differences
from registrar.player_access.differences import Action
from registrar.player_access.rules import Reason
from registrar.student_pages import linking
from tests.players.app import PASSWORD, App
from tests.players.services.test_races import race

pytestmark = pytest.mark.django_db

READ = datetime(2026, 1, 1, tzinfo=UTC)
_ids = itertools.count(7_000_000_000_000_000_001)


def mirror(model, **values):
    return model.objects.create(zoho_id=str(next(_ids)), read_at=READ, **values)


@pytest.fixture
def plan(db):
    return AcademicPlan.objects.create(title="Networks", public_id="PLAN-NET")


@pytest.fixture
def other_plan(db):
    return AcademicPlan.objects.create(title="Art", public_id="PLAN-ART")


@pytest.fixture
def program(db):
    return mirror(Program, name="HND Networks")


@pytest.fixture
def rule(program, plan):
    return ProgramAccess.objects.create(
        program=program, plan=plan, item="NET-1", is_enabled=True
    )


@pytest.fixture
def student(db):
    return mirror(
        Student, display_name="ليلى حداد", academic_email="Layla@School.example"
    )


@pytest.fixture
def player(student):
    player = accounts.create_player("layla@home.example", PASSWORD, "Layla")
    linking.link(student, player)
    return player


@pytest.fixture
def registration(student, program):
    return register(student, program)


def register(student, program, status="Active", *, paid="100.000", **values):
    row = mirror(
        Registration,
        student=student,
        program=program,
        registration_status=status,
        **values,
    )
    if paid:
        mirror(Payment, registration=row, student=student, amount=paid)
    return row


def run(**options):
    """Carry out what is due, as the task does."""
    return applying.apply(differences.find(), **options)


def plans_of(player):
    return set(player.enrollments.values_list("plan__public_id", flat=True))


def products_of(player):
    return set(player.entitlements.values_list("item", flat=True))


def reasons(**options):
    return [
        (change.action, change.reason)
        for unit in differences.find(**options)
        for change in unit.changes
    ]


# --- Giving ---------------------------------------------------------------------------


def test_a_paid_registration_gives_plan_and_product(rule, player, registration):
    report = run()
    assert (report.given, report.ended) == (2, 0)
    assert plans_of(player) == {"PLAN-NET"}
    assert products_of(player) == {"NET-1"}
    player.refresh_from_db()
    assert player.active_plan == rule.plan


def test_a_second_run_finds_nothing(rule, player, registration):
    run()
    assert differences.find() == []
    assert GivenAccess.objects.count() == 2


def test_a_rule_that_is_off_gives_nothing_but_is_previewed(rule, player, registration):
    ProgramAccess.objects.update(is_enabled=False)
    assert differences.find() == []
    tasks.follow_registrations()
    assert plans_of(player) == set()
    assert reasons(with_disabled=True) == [(Action.GIVE, Reason.REGISTERED)] * 2


def test_nothing_is_given_without_a_payment(rule, player, student, program):
    register(student, program, paid=None)
    run()
    assert plans_of(player) == set()


@pytest.mark.parametrize(("paid", "is_given"), [("99.999", False), ("100.000", True)])
def test_a_rule_can_require_all_fees(rule, player, student, program, paid, is_given):
    ProgramAccess.objects.update(payment="full")
    register(student, program, paid=paid, total_fees="100.000")
    run()
    assert bool(plans_of(player)) == is_given


def test_a_status_that_the_rule_does_not_name_changes_nothing(
    rule, player, registration
):
    run()
    Registration.objects.update(registration_status="On hold")
    assert reasons() == [(Action.NOTHING, Reason.UNKNOWN_STATUS)]
    run()
    assert plans_of(player) == {"PLAN-NET"}


def test_fees_that_zoho_does_not_have_change_nothing(rule, player, registration):
    run()
    ProgramAccess.objects.update(payment="full")
    assert reasons() == [(Action.NOTHING, Reason.UNKNOWN_FEES)]


def test_the_audit_trail_says_why(rule, player, registration):
    run()
    events = SecurityEvent.objects.filter(user=player.user).order_by("pk")
    noted = {event.details.get("note") for event in events}
    assert "By the registration in Zoho" in noted


# --- Ending ---------------------------------------------------------------------------


def cancel(registration, student):
    Registration.objects.update(registration_status=" withdrawn ")


def delete_registration(registration, student):
    Registration.objects.update(deleted_at=timezone.now(), status="Cancelled")


def void_payment(registration, student):
    Payment.objects.update(deleted_at=timezone.now(), status="Voided")


def delete_student(registration, student):
    Student.objects.update(deleted_at=timezone.now())


def unlink(registration, student):
    StudentAccount.objects.all().delete()


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (cancel, Reason.ENDED),
        (delete_registration, Reason.DELETED),
        (void_payment, Reason.UNPAID),
        (delete_student, Reason.STUDENT_DELETED),
        (unlink, Reason.NOT_LINKED),
    ],
)
def test_what_was_given_ends_with_its_reason(
    rule, player, registration, student, end, reason
):
    run()
    end(registration, student)
    assert (Action.END, reason) in reasons()
    run()
    assert plans_of(player) == set()
    assert products_of(player) == set()
    assert not GivenAccess.objects.exists()


def test_another_registration_for_the_program_keeps_it(
    rule, player, registration, student, program
):
    run()
    Registration.objects.update(registration_status="Withdrawn")
    register(student, program)
    assert not any(unit.is_due for unit in differences.find())


def test_another_rule_that_gives_the_plan_keeps_it(
    rule, player, registration, student, plan
):
    run()
    second = mirror(Program, name="Evening")
    ProgramAccess.objects.create(program=second, plan=plan, is_enabled=True)
    register(student, second)
    Registration.objects.filter(pk=registration.pk).update(
        registration_status="Withdrawn"
    )
    run()
    assert plans_of(player) == {"PLAN-NET"}
    assert products_of(player) == set()


def test_a_rule_with_another_plan_replaces_the_plan(
    rule, player, registration, other_plan
):
    run()
    ProgramAccess.objects.update(plan=other_plan)
    run()
    assert plans_of(player) == {"PLAN-ART"}


def test_a_rule_that_is_switched_off_ends_nothing(rule, player, registration):
    run()
    ProgramAccess.objects.update(is_enabled=False)
    Registration.objects.update(registration_status="Withdrawn")
    tasks.follow_registrations()
    assert plans_of(player) == {"PLAN-NET"}


# --- Staff ----------------------------------------------------------------------------


def test_what_staff_gave_by_hand_stays(rule, player, registration, plan):
    bulk_access.enroll([(player.pk, plan.pk)])
    until = timezone.now() + timedelta(days=3)
    bulk_access.grant([(player.pk, "NET-1", until)])
    assert reasons() == [(Action.NOTHING, Reason.HELD)]
    run()
    Registration.objects.update(registration_status="Withdrawn")
    run()
    assert plans_of(player) == {"PLAN-NET"}
    assert Entitlement.objects.get().valid_until == until


def test_what_staff_took_away_is_not_given_again(rule, player, registration, plan):
    run()
    bulk_access.unenroll([(player.pk, plan.pk)])
    assert (Action.NOTHING, Reason.TAKEN) in reasons()
    run()
    assert plans_of(player) == set()


def test_a_plan_that_staff_took_and_gave_again_is_theirs(
    rule, player, registration, plan
):
    run()
    bulk_access.unenroll([(player.pk, plan.pk)])
    bulk_access.enroll([(player.pk, plan.pk)])
    Registration.objects.update(registration_status="Withdrawn")
    run()
    assert plans_of(player) == {"PLAN-NET"}
    assert not GivenAccess.objects.exists()


def test_a_product_that_staff_gave_an_end_is_theirs(rule, player, registration):
    run()
    Entitlement.objects.update(valid_until=timezone.now() + timedelta(days=3))
    Registration.objects.update(registration_status="Withdrawn")
    run()
    assert products_of(player) == {"NET-1"}
    assert plans_of(player) == set()


# --- Accounts -------------------------------------------------------------------------


@pytest.fixture
def creating(rule):
    rule.creates_accounts = True
    rule.save()
    return rule


def test_without_the_option_no_account_is_created(rule, registration):
    assert reasons() == [(Action.NOTHING, Reason.NO_ACCOUNT)]
    run()
    assert not PlayerProfile.objects.exists()


def test_an_account_is_created_linked_and_enrolled(creating, registration, student):
    report = run()
    player = StudentAccount.objects.get(student=student).player
    assert player.user.email == "layla@school.example"
    assert player.user.full_name == "ليلى حداد"
    assert not player.user.has_usable_password()
    assert plans_of(player) == {"PLAN-NET"}
    assert [one.player_id for one in report.created] == [player.pk]
    assert differences.find() == []


def test_a_generated_password_signs_in(
    creating, registration, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        (created,) = run(with_passwords=True).created
        answer = App().sign_in("layla@school.example", created.password)
    assert answer.status_code == 200


def test_two_rules_create_one_account(creating, registration, student, other_plan):
    second = mirror(Program, name="Art")
    ProgramAccess.objects.create(
        program=second, plan=other_plan, creates_accounts=True, is_enabled=True
    )
    register(student, second)
    run()
    player = PlayerProfile.objects.get()
    assert plans_of(player) == {"PLAN-NET", "PLAN-ART"}


def no_email(student):
    Student.objects.update(academic_email="")


def same_email(student):
    mirror(Student, academic_email="LAYLA@school.example")


def player_exists(student):
    accounts.create_player("layla@school.example", PASSWORD, "Somebody")


@pytest.mark.parametrize("obstacle", [no_email, same_email, player_exists])
def test_no_account_is_created_where_the_address_does_not_decide(
    creating, registration, student, obstacle
):
    obstacle(student)
    before = PlayerProfile.objects.count()
    assert reasons() == [(Action.NOTHING, Reason[obstacle.__name__.upper()])]
    run()
    assert PlayerProfile.objects.count() == before
    assert not StudentAccount.objects.exists()


def test_an_address_that_is_none_is_refused_with_the_reason(
    creating, registration, student
):
    Student.objects.update(academic_email="no address")
    report = run()
    ((zoho_id, reason),) = report.refused
    assert zoho_id == student.zoho_id
    assert reason == "Enter a valid email address."
    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ledger", erasure.LEDGERS)
def test_an_erased_student_gets_no_new_account(
    creating, registration, settings, ledger, redis_client
):
    settings.ERASED_LEDGER = ledger
    run()
    player_id = StudentAccount.objects.get().player_id
    erasure.erase(player_id=player_id, now=timezone.now())
    assert not GivenAccess.objects.exists()
    assert reasons() == [(Action.NOTHING, Reason.ERASED)]
    run()
    assert not StudentAccount.objects.exists()


# --- Faults ---------------------------------------------------------------------------


def steps(monkeypatch, after):
    """Let the run die before its step number ``after``."""
    count = itertools.count()

    def dying(function):
        def call(*args, **kwargs):
            if next(count) == after:
                raise KeyboardInterrupt
            return function(*args, **kwargs)

        return call

    for owner, name in (
        (applying.staff_writes, "create"),
        (StudentAccount.objects, "create"),
        (applying.bulk_access, "enroll"),
        (applying.bulk_access, "grant"),
        (GivenAccess.objects, "create"),
    ):
        monkeypatch.setattr(owner, name, dying(getattr(owner, name)))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("after", range(6))
def test_a_run_killed_at_any_step_is_completed_by_the_next_one(
    creating, registration, student, monkeypatch, after
):
    with monkeypatch.context() as patch:
        steps(patch, after)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert not PlayerProfile.objects.exists()
    run()
    player = PlayerProfile.objects.get()
    assert StudentAccount.objects.get().player == player
    assert plans_of(player) == {"PLAN-NET"}
    assert GivenAccess.objects.count() == 2


@pytest.mark.mariadb
@pytest.mark.django_db(transaction=True)
def test_two_runs_at_once_create_one_account(creating, registration):
    units = differences.find()
    reports = race(lambda: applying.apply(units), lambda: applying.apply(units))
    assert sum(len(report.created) for report in reports) == 1
    assert PlayerProfile.objects.count() == 1
    assert GivenAccess.objects.count() == 2


@pytest.mark.mariadb
@pytest.mark.django_db(transaction=True)
def test_a_run_beside_an_erasure_gives_nothing_to_the_erased(
    rule, player, registration, redis_client
):
    units = differences.find()
    race(
        lambda: applying.apply(units),
        lambda: erasure.erase(player_id=player.pk, now=timezone.now()),
    )
    assert not GivenAccess.objects.exists()
    assert not Enrollment.objects.exists()


def test_without_redis_nothing_is_taken_away(rule, player, registration, monkeypatch):
    run()
    Registration.objects.update(registration_status="Withdrawn")

    def away(*_args):
        raise StoreAwayError("Redis does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(applying.bulk_access, "unenroll", away)
        tasks.follow_registrations()
    assert plans_of(player) == {"PLAN-NET"}
    assert GivenAccess.objects.count() == 2
    tasks.follow_registrations()
    assert plans_of(player) == set()


def make_players(program, numbers):
    for number in numbers:
        student = mirror(Student, display_name=f"Student {number}")
        player = accounts.create_player(f"p{number}@home.example", PASSWORD)
        linking.link(student, player)
        register(student, program)


def test_more_than_a_tenth_of_the_players_lose_nothing_without_a_person(rule, program):
    make_players(program, range(applying.ALWAYS_PERMITTED + 1))
    run()
    Registration.objects.update(registration_status="Withdrawn")
    assert run().stopped
    assert Enrollment.objects.count() == applying.ALWAYS_PERMITTED + 1
    assert not run(permit_many=True).stopped
    assert not Enrollment.objects.exists()


def stopped_faults():
    return [
        (fault.values["count"], fault.runbook)
        for fault in faults.load(timezone.now()).faults
        if fault.key == "access_stopped"
    ]


def test_a_stopped_run_is_a_fault_until_a_person_has_permitted_it(rule, program):
    count = applying.ALWAYS_PERMITTED + 1
    make_players(program, range(count))
    tasks.follow_registrations()
    assert stopped_faults() == []
    Registration.objects.update(registration_status="Withdrawn")
    tasks.follow_registrations()
    assert stopped_faults() == [(count, "registrar-access-stopped.md")]
    call_command("follow_registrations", "--apply", "--permit-many")
    assert stopped_faults() == []


def test_a_stopped_run_is_no_fault_any_more_when_nothing_would_be_lost(rule, program):
    make_players(program, range(applying.ALWAYS_PERMITTED + 1))
    tasks.follow_registrations()
    Registration.objects.update(registration_status="Withdrawn")
    tasks.follow_registrations()
    Registration.objects.update(registration_status="Active")
    tasks.follow_registrations()
    assert stopped_faults() == []


def test_a_new_account_costs_the_same_however_many_students_there_are(
    creating, program, monkeypatch
):
    products.ensure(["NET-1"])
    costs = []
    for others in (0, 40):
        for number in range(others):
            mirror(Student, academic_email=f"other{number}@school.example")
        student = mirror(Student, academic_email=f"new{others}@School.example")
        register(student, program)
        units = differences.find()
        read = []
        with monkeypatch.context() as patch:
            patch.setattr(
                differences,
                "canonical_email",
                lambda email, read=read: read.append(email) or canonical_email(email),
            )
            with CaptureQueriesContext(connection) as queries:
                assert len(applying.apply(units).created) == 1
        # The address is read once in each place that decides about it.
        assert set(read) == {student.academic_email}
        costs.append((len(read), len(queries)))
    assert costs[0] == costs[1]


def test_a_second_student_with_the_address_stops_an_account_that_was_planned(
    creating, registration, student
):
    units = differences.find()
    same_email(student)
    assert applying.apply(units).created == []
    assert not StudentAccount.objects.exists()


def test_the_number_of_queries_does_not_depend_on_the_students(creating, program):
    counts = []
    for numbers in (range(2), range(2, 6)):
        make_players(program, numbers)
        register(mirror(Student, academic_email=f"s{numbers}@a.example"), program)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            differences.find()
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 11


# --- The command ----------------------------------------------------------------------


def command(*arguments):
    out = io.StringIO()
    call_command("follow_registrations", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def test_the_command_lists_by_default_and_writes_nothing(
    creating, registration, student
):
    out = command()
    assert student.zoho_id in out
    assert "create an account" in out
    assert not PlayerProfile.objects.exists()


def test_the_command_says_which_rules_are_off(rule, player, registration):
    ProgramAccess.objects.update(is_enabled=False)
    assert "rule is off" in command()
    assert json.loads(command("--apply", "--json"))["given"] == 0


def test_the_command_answers_json(rule, player, registration, student):
    found = json.loads(command("--json"))
    assert found["due"] == 1
    assert found["units"][0]["student"] == student.zoho_id
    assert found["units"][0]["changes"][0] == {
        "action": "give",
        "type": "plan",
        "thing": str(rule.plan),
        "reason": "registered",
        "rule": rule.pk,
        "enabled": True,
    }
    assert json.loads(command("--apply", "--json")) == {
        "created": [],
        "given": 2,
        "ended": 0,
        "refused": {},
        "stopped": False,
    }


def test_the_command_writes_passwords_to_a_private_new_file(
    creating, registration, tmp_path
):
    path = tmp_path / "passwords.csv"
    command("--apply", "--passwords", str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    header, line = path.read_text().splitlines()
    assert header == "name,email,password"
    password = line.rpartition(",")[2]
    assert User.objects.get().check_password(password)
    with pytest.raises(CommandError):
        command("--apply", "--passwords", str(path))


def test_the_command_fails_where_a_person_must_decide(rule, program):
    make_players(program, range(applying.ALWAYS_PERMITTED + 1))
    run()
    Registration.objects.update(registration_status="Withdrawn")
    with pytest.raises(CommandError, match="permit-many"):
        command("--apply")
    command("--apply", "--permit-many")
    assert not Enrollment.objects.exists()


def test_passwords_need_apply(creating, tmp_path):
    with pytest.raises(CommandError):
        command("--passwords", str(tmp_path / "file"))

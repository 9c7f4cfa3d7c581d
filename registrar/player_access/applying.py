"""Makes the changes that `registrar.player_access.differences` has found.

Each student's changes are one transaction, which decides again under its locks. So a run
may be killed at any line, and two runs may work at once: nothing is done twice.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from django.db import transaction
from django.utils.translation import gettext as _

from core.api_types import InvalidBodyError
from core.db import retry_on_conflict
from core.errors import MemoraError
from players import audit
from players.errors import PlayerExistsError, PlayerNotFoundError
from players.models import Enrollment, Entitlement
from players.services import bulk_access, staff_writes
from players.services.devices import lock_player
from players.services.student_sheet import Row
from registrar.models import GivenAccess, PeerState, Student, StudentAccount
from registrar.player_access.differences import PLAN, Action, Change, Unit, find

MOST_SHARE = 0.1
"""Players from whom a run takes something away, as a share of those who were given
something; more need a person."""
ALWAYS_PERMITTED = 20
"""So many players may lose something in any case."""


@dataclass(frozen=True, slots=True)
class Created:
    """An account that was made; ``password`` is stored nowhere."""

    player_id: int
    name: str
    email: str
    password: str | None


@dataclass(slots=True)
class Report:
    """What a run did. ``stopped``: too many would lose something; nothing was done.

    The dashboard then says so until a run is not stopped.
    """

    created: list[Created] = field(default_factory=list)
    given: int = 0
    ended: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    """The Zoho id of a student, and why no account could be created."""
    stopped: bool = False


def is_too_much(units: Sequence[Unit]) -> bool:
    """Return whether more players would lose something than a run may decide. One query."""
    losing = sum(unit.ends for unit in units)
    if losing <= ALWAYS_PERMITTED:
        return False
    players = GivenAccess.objects.values("player_id").distinct().count()
    return losing > players * MOST_SHARE


def apply(
    units: Sequence[Unit],
    *,
    permit_many: bool = False,
    with_passwords: bool = False,
    done: Callable[[Report], None] = lambda _report: None,
) -> Report:
    """Make the changes of these units, each in a transaction of its own.

    Args:
        permit_many: take away from more players than `MOST_SHARE` permits.
        with_passwords: generate a password for each new account. Without one, staff print
            a sign-in slip or issue a code.
        done: called after each unit.

    Raises:
        StoreAwayError: Redis does not answer; the units before are done.
    """
    report = Report()
    due = [unit for unit in units if unit.is_due]
    report.stopped = not permit_many and is_too_much(due)
    _store_stop(sum(unit.ends for unit in due) if report.stopped else None)
    if report.stopped:
        return report
    for unit in due:
        one = retry_on_conflict(partial(_apply, unit, with_passwords=with_passwords))
        report.created += one.created
        report.given += one.given
        report.ended += one.ended
        report.refused += one.refused
        done(report)
    return report


def _store_stop(losing: int | None) -> None:
    """Store for `registrar.faults` whether the run was stopped, and by how many losses."""
    held = PeerState.objects.filter(peer="zoho")
    if losing is not None:
        PeerState.objects.get_or_create(peer="zoho")
        held.update(players_losing=losing)
    else:
        held.exclude(players_losing=None).update(players_losing=None)


@transaction.atomic(durable=True)
def _apply(unit: Unit, *, with_passwords: bool) -> Report:
    report = Report()
    # Accounts are locked before all other rows, as everywhere.
    if unit.player_id is not None:
        try:
            lock_player(unit.player_id)
        except PlayerNotFoundError:
            return report
    if unit.student is not None:
        rows = Student.objects.filter(pk=unit.student.pk)
        list(rows.select_for_update().values_list("pk"))
    for current in find(only=unit):
        if current.player_id == unit.player_id:
            with audit.because(_("By the registration in Zoho")):
                _make(current, report, with_passwords=with_passwords)
    return report


def _make(unit: Unit, report: Report, *, with_passwords: bool) -> None:
    player_id = unit.player_id
    for change in unit.changes:
        match change.action:
            case Action.CREATE:
                player_id = _create(unit, report, with_passwords=with_passwords)
                if player_id is None:
                    return
            case Action.GIVE:
                assert player_id is not None
                _give(player_id, change)
                report.given += 1
            case Action.END | Action.FORGET:
                report.ended += _end(change)


def _create(unit: Unit, report: Report, *, with_passwords: bool) -> int | None:
    """Create the student's account and link it; None if its values are refused."""
    student = unit.student
    assert student is not None
    values = {"email": student.academic_email, "full_name": str(student)}
    try:
        with transaction.atomic():
            player_id, password = staff_writes.create(
                Row(1, values=values), with_password=with_passwords
            )
    except (InvalidBodyError, PlayerExistsError) as error:
        report.refused.append((student.zoho_id, _words(error)))
        return None
    StudentAccount.objects.create(student=student, player_id=player_id)
    report.created.append(
        Created(player_id, str(student), student.academic_email, password)
    )
    return player_id


def _words(error: MemoraError) -> str:
    faults = error.details.get("fields", {})
    words = [fault for found in faults.values() for fault in found]
    return " ".join(words) or error.message


def _give(player_id: int, change: Change) -> None:
    kind, thing = change.thing
    if kind == PLAN:
        bulk_access.enroll([(player_id, thing)])
        row_id = Enrollment.objects.values_list("pk", flat=True).get(
            player=player_id, plan=thing
        )
    else:
        bulk_access.grant([(player_id, thing, None)])
        row_id = Entitlement.objects.values_list("pk", flat=True).get(
            player=player_id, item=thing
        )
    GivenAccess.objects.create(
        rule=change.rule,
        player_id=player_id,
        kind=kind,
        plan_id=thing if kind == PLAN else 0,
        item="" if kind == PLAN else thing,
        row_id=row_id,
    )


def _end(change: Change) -> int:
    """Take away what was given, if it still is ours; return how many rows went."""
    given = change.given
    assert given is not None
    count = 0
    if change.action == Action.END:
        kind, thing = change.thing
        pair = (given.player_id, thing)
        count = (
            bulk_access.unenroll([pair]) if kind == PLAN else bulk_access.revoke([pair])
        )
    given.delete()
    return count

"""What players should have by their registrations, compared with what they have.

Nothing is written. `registrar.player_access.applying` makes the changes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Q, Sum
from django.utils.translation import gettext_lazy as _

from core.batches import batches
from players.credentials import canonical_email
from players.models import Enrollment, Entitlement, PlayerProfile, User
from registrar.models import (
    GivenAccess,
    Payment,
    ProgramAccess,
    Registration,
    Student,
    StudentAccount,
)
from registrar.player_access.rules import Reason, Registered, Wish, wish

PLAN, PRODUCT = GivenAccess.Kind.PLAN, GivenAccess.Kind.PRODUCT
Thing = tuple[str, Any]


class Action(models.TextChoices):
    """What is done for a student."""

    CREATE = "create", _("create an account")
    GIVE = "give", _("give")
    END = "end", _("take away")
    FORGET = "forget", _("no longer ours to take away")
    NOTHING = "nothing", _("nothing")


@dataclass(frozen=True, slots=True)
class Change:
    """One change, or with `Action.NOTHING` the reason why there is none.

    ``thing`` is the kind, and the plan's key or the product's code.
    """

    action: Action
    rule: ProgramAccess
    reason: Reason
    thing: Thing
    given: GivenAccess | None = None

    @property
    def shown_thing(self) -> str:
        """The plan or the product, for people."""
        if self.thing[0] == PRODUCT:
            return str(self.thing[1])
        is_rules = self.thing[1] == self.rule.plan_id
        return str(self.rule.plan if is_rules else self.thing[1])


@dataclass(frozen=True, slots=True)
class Unit:
    """A student, the player that they are, or both; all changes of it are made together."""

    student: Student | None
    player_id: int | None
    changes: tuple[Change, ...] = ()

    @property
    def is_due(self) -> bool:
        """Whether something is to be written."""
        return any(one.action != Action.NOTHING for one in self.changes)

    @property
    def ends(self) -> bool:
        """Whether something is taken away."""
        return any(one.action == Action.END for one in self.changes)


@dataclass(slots=True)
class _World:
    """The rows that the decision about each unit reads."""

    rules: list[ProgramAccess]
    acting: set[int]
    registered: dict[tuple[str, str], list[Registered]] = field(default_factory=dict)
    given: dict[int, list[GivenAccess]] = field(default_factory=dict)
    held: dict[tuple[int, Thing], tuple[int, Any]] = field(default_factory=dict)
    """The key and the end of enrolments and entitlements."""
    emails: Counter[str] = field(default_factory=Counter)
    taken_emails: set[str] = field(default_factory=set)


def find(*, with_disabled: bool = False, only: Unit | None = None) -> list[Unit]:
    """Return the units for which something is to be done or said.

    Nine queries, two more where accounts may be created, and one for each 500 of these.

    Args:
        with_disabled: act as if all rules were enabled.
        only: read this unit alone.
    """
    rules = list(ProgramAccess.objects.select_related("program", "plan").order_by("pk"))
    acting = {rule.pk for rule in rules if rule.is_enabled or with_disabled}
    if not acting:
        return []
    world = _World(rules, acting)
    units = _units(world, only)
    _read(world, units, only)
    found = (_decide(world, unit) for unit in units)
    return [unit for unit in found if unit.changes]


def _units(world: _World, only: Unit | None) -> list[Unit]:
    """Return all students with a registration, and all players who were given something."""
    registered = Registration.objects.filter(
        program__in=[rule.program_id for rule in world.rules]
    )
    students = Student.objects.filter(zoho_id__in=registered.values("student_id"))
    given = GivenAccess.objects.order_by("pk")
    accounts = StudentAccount.objects.all()
    if only is not None:
        students = students.filter(pk__in=[only.student.pk] if only.student else [])
        given = given.filter(player_id=only.player_id)
        accounts = accounts.filter(
            Q(student=only.student) | Q(player_id=only.player_id)
        )
    for row in given:
        world.given.setdefault(row.player_id, []).append(row)
    player_of = dict(accounts.values_list("student_id", "player_id"))
    units = [
        Unit(student, player_of.get(student.pk)) for student in students.order_by("pk")
    ]
    covered = {unit.player_id for unit in units}
    student_of = {
        account.player_id: account.student
        for account in accounts.filter(
            player_id__in=GivenAccess.objects.values("player_id")
        ).select_related("student")
    }
    units += [
        Unit(student_of.get(player_id), player_id)
        for player_id in world.given
        if player_id not in covered
    ]
    return units


def _read(world: _World, units: Sequence[Unit], only: Unit | None) -> None:
    programs = [rule.program_id for rule in world.rules]
    registrations = Registration.objects.filter(program__in=programs)
    payments = Payment.objects.filter(
        registration__program__in=programs, deleted_at=None
    ).exclude(status="Voided")
    enrolments = Enrollment.objects.filter(
        Q(plan__in=[rule.plan_id for rule in world.rules])
        | Q(plan_id__in=GivenAccess.objects.values("plan_id"))
    )
    products = Entitlement.objects.filter(
        Q(item__in=[rule.item for rule in world.rules])
        | Q(item__in=GivenAccess.objects.values("item"))
    )
    if only is not None:
        zoho_id = only.student.zoho_id if only.student else None
        registrations = registrations.filter(student=zoho_id)
        payments = payments.filter(registration__student=zoho_id)
        enrolments = enrolments.filter(player=only.player_id)
        products = products.filter(player=only.player_id)
    paid = dict(
        payments.order_by().values_list("registration_id").annotate(Sum("amount"))
    )
    for row in registrations:
        key = (row.student_id or "", row.program_id or "")
        world.registered.setdefault(key, []).append(
            Registered(
                status=row.registration_status,
                deleted_at=row.deleted_at,
                total_fees=row.total_fees,
                paid=paid.get(row.zoho_id) or Decimal(0),
            )
        )
    for pk, player_id, plan_id in enrolments.values_list("pk", "player_id", "plan_id"):
        world.held[player_id, (PLAN, plan_id)] = pk, None
    for pk, player_id, item, until in products.values_list(
        "pk", "player_id", "item", "valid_until"
    ):
        world.held[player_id, (PRODUCT, item)] = pk, until
    if any(rule.creates_accounts for rule in world.rules):
        _read_emails(world, units, only)


def _read_emails(world: _World, units: Iterable[Unit], only: Unit | None) -> None:
    """Read which addresses several students have, and which belong to an account.

    Of a single unit, only the rows with its address are read. Whether another student has
    it in another spelling than upper or lower case, the run has found before.
    """
    own = [
        unit.student.academic_email
        for unit in units
        if unit.student is not None and unit.player_id is None
    ]
    if not own:
        return
    rows = Student.objects.filter(deleted_at=None).exclude(academic_email="")
    if only is not None:
        rows = rows.filter(academic_email__iexact=own[0])
    world.emails.update(
        canonical_email(one) for one in rows.values_list("academic_email", flat=True)
    )
    new = {canonical_email(one) for one in own}
    for some in batches(sorted(new - {""})):
        world.taken_emails.update(
            User.objects.filter(email__in=some).values_list("email", flat=True)
        )


def _decide(world: _World, unit: Unit) -> Unit:
    wishes = {rule.pk: _wish(world, unit, rule) for rule in world.rules}
    changes: list[Change] = []
    wanted: set[Thing] = set()
    for rule in world.rules:
        wished, reason = wishes[rule.pk]
        things: list[Thing] = [(PLAN, rule.plan_id)]
        if rule.item:
            things.append((PRODUCT, rule.item))
        if wished is Wish.END:
            continue
        new = [one for one in things if one not in wanted]
        wanted.update(things)
        if rule.pk not in world.acting:
            continue
        if wished is Wish.KEEP:
            changes.append(Change(Action.NOTHING, rule, reason, things[0]))
        elif unit.player_id is None:
            is_created = any(one.action == Action.CREATE for one in changes)
            changes += _for_new_player(world, unit, rule, new, is_created=is_created)
        else:
            changes += _missing(world, unit.player_id, rule, new)
    changes += _no_longer_wanted(world, unit, wanted, wishes)
    return Unit(unit.student, unit.player_id, tuple(changes))


def _wish(world: _World, unit: Unit, rule: ProgramAccess) -> tuple[Wish, Reason]:
    if unit.student is None:
        return Wish.END, Reason.NOT_LINKED
    if unit.student.deleted_at is not None:
        return Wish.END, Reason.STUDENT_DELETED
    rows = world.registered.get((unit.student.zoho_id, rule.program_id or ""), [])
    wishes = [wish(rule, row) for row in rows]
    return max(
        wishes,
        key=lambda one: one[0],
        default=(Wish.END, Reason.NO_REGISTRATION),
    )


def _for_new_player(
    world: _World,
    unit: Unit,
    rule: ProgramAccess,
    things: Iterable[Thing],
    *,
    is_created: bool,
) -> list[Change]:
    obstacle = None if is_created else _obstacle(world, unit, rule)
    if obstacle is not None:
        return [Change(Action.NOTHING, rule, obstacle, (PLAN, rule.plan_id))]
    changes = [] if is_created else [_change(Action.CREATE, rule, (PLAN, rule.plan_id))]
    return changes + [_change(Action.GIVE, rule, thing) for thing in things]


def _change(action: Action, rule: ProgramAccess, thing: Thing) -> Change:
    return Change(action, rule, Reason.REGISTERED, thing)


def _obstacle(world: _World, unit: Unit, rule: ProgramAccess) -> Reason | None:
    """Return why no account is created; None if one is."""
    assert unit.student is not None
    email = canonical_email(unit.student.academic_email)
    if unit.student.is_account_erased:
        return Reason.ERASED
    if not rule.creates_accounts:
        return Reason.NO_ACCOUNT
    if not email:
        return Reason.NO_EMAIL
    if world.emails[email] > 1:
        return Reason.SAME_EMAIL
    if email in world.taken_emails:
        return Reason.PLAYER_EXISTS
    return None


def _missing(
    world: _World, player_id: int, rule: ProgramAccess, things: Iterable[Thing]
) -> list[Change]:
    given = {row.thing for row in world.given.get(player_id, ())}
    changes = []
    for thing in things:
        held = world.held.get((player_id, thing))
        if held is not None:
            if held[1] is not None:
                changes.append(Change(Action.NOTHING, rule, Reason.HELD, thing))
        elif thing in given:
            changes.append(Change(Action.NOTHING, rule, Reason.TAKEN, thing))
        else:
            changes.append(_change(Action.GIVE, rule, thing))
    return changes


def _no_longer_wanted(
    world: _World,
    unit: Unit,
    wanted: set[Thing],
    wishes: dict[int, tuple[Wish, Reason]],
) -> list[Change]:
    by_key = {rule.pk: rule for rule in world.rules}
    changes: dict[str, list[Change]] = defaultdict(list)
    player_id = unit.player_id
    for row in world.given.get(player_id, ()) if player_id is not None else ():
        if row.rule_id not in world.acting or row.thing in wanted:
            continue
        assert player_id is not None
        # Staff have removed it, given it again, or given the product another end.
        is_ours = world.held.get((player_id, row.thing)) == (row.row_id, None)
        action = Action.END if is_ours else Action.FORGET
        wished, reason = wishes[row.rule_id]
        if wished is not Wish.END:
            reason = Reason.NO_REGISTRATION  # the rule gives something else now
        changes[action].append(
            Change(action, by_key[row.rule_id], reason, row.thing, row)
        )
    return changes[Action.END] + changes[Action.FORGET]


def names_of(units: Iterable[Unit]) -> dict[int, str]:
    """Return the names of the players of these units, by key."""
    keys = {unit.player_id for unit in units if unit.player_id is not None}
    names: dict[int, str] = {}
    for some in batches(sorted(keys)):
        rows = PlayerProfile.objects.filter(pk__in=some).select_related("user")
        names.update({row.pk: str(row.user) for row in rows})
    return names

"""Enrolling students and giving them products for the staff API, many in one request."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from content.fields import validate_item_code
from core.api_types import InvalidBodyError
from core.errors import MemoraError
from plans.models import AcademicPlan
from players.credentials import canonical_email, canonical_number
from players.errors import PlayerNotFoundError
from players.models import Enrollment, Entitlement, PlayerProfile
from players.services import bulk_access


@dataclass(frozen=True, slots=True)
class Student:
    """Names a student: by the first of these that is given."""

    player_id: int | None = None
    school_number: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """What changes for a student; ``enroll`` and ``unenroll`` have ids of plans.

    ``grant`` has the end of each product; None for no end.
    """

    student: Student
    enroll: Sequence[str] = ()
    unenroll: Sequence[str] = ()
    grant: Mapping[str, datetime | None] = field(default_factory=dict)
    revoke: Sequence[str] = ()


@dataclass(slots=True)
class Changed:
    """What a change does; nothing if it is refused."""

    player_id: int | None = None
    enroll: list[int] = field(default_factory=list)
    unenroll: list[int] = field(default_factory=list)
    grant: dict[str, datetime | None] = field(default_factory=dict)
    revoke: list[str] = field(default_factory=list)
    refusal: MemoraError | None = None

    @property
    def is_change(self) -> bool:
        """Return whether something is different afterwards."""
        return bool(self.enroll or self.unenroll or self.grant or self.revoke)


@dataclass(frozen=True, slots=True)
class _Known:
    """The rows that changes are compared with."""

    by_id: set[int]
    by_number: dict[str, int]
    by_email: dict[str, int]
    plans: dict[str, int]
    enrolled: set[tuple[int, int]]
    products: dict[tuple[int, str], datetime | None]


@transaction.atomic
def apply(changes: Sequence[Change], *, is_dry_run: bool = False) -> list[Changed]:
    """Do up to 500 changes; one that is refused changes nothing.

    A fixed number of queries, except that each different plan and end of a product costs
    some. A product that a student has for longer is not shortened. Where the active
    plan is left, the newest other one becomes active.

    Args:
        is_dry_run: return what would be done.

    Raises:
        StoreAwayError: Redis does not answer, and something may be taken away; nothing
            has changed.
    """
    known = _read(changes)
    done: list[Changed] = []
    first: dict[int, int] = {}
    for index, change in enumerate(changes):
        one = _compare(change, known)
        if one.player_id is not None:
            earlier = first.setdefault(one.player_id, index)
            if earlier != index:
                said = _("Element %(row)d is about the same student.")
                one.refusal = InvalidBodyError({"body": said % {"row": earlier}})
        done.append(one)
    if not is_dry_run:
        _apply([one for one in done if one.refusal is None])
    return done


def _apply(done: Iterable[Changed]) -> None:
    # Enrolled first: the new plan then becomes active where the active one is left.
    pairs = [(one.player_id, one) for one in done if one.player_id is not None]
    bulk_access.enroll((pk, plan) for pk, one in pairs for plan in one.enroll)
    bulk_access.unenroll((pk, plan) for pk, one in pairs for plan in one.unenroll)
    bulk_access.grant(
        (pk, item, until) for pk, one in pairs for item, until in one.grant.items()
    )
    bulk_access.revoke((pk, item) for pk, one in pairs for item in one.revoke)


def _read(changes: Sequence[Change]) -> _Known:
    students = [change.student for change in changes]
    players = PlayerProfile.objects.filter(erased_at=None)
    ids = {one.player_id for one in students if one.player_id is not None}
    numbers = {canonical_number(one.school_number) for one in students} - {""}
    emails = {canonical_email(one.email) for one in students} - {""}
    by_number = players.filter(school_number__in=numbers)
    by_email = players.filter(user__email__in=emails)
    found = _Known(
        by_id=set(players.filter(pk__in=ids).values_list("pk", flat=True)),
        by_number=dict(by_number.values_list("school_number", "pk")),
        by_email=dict(by_email.values_list("user__email", "pk")),
        plans=dict(AcademicPlan.objects.values_list("public_id", "pk")),
        enrolled=set(),
        products={},
    )
    keys = {*found.by_id, *found.by_number.values(), *found.by_email.values()}
    # Locked before their rows are read, in the order of all writers.
    list(players.filter(pk__in=keys).order_by("pk").select_for_update().values("pk"))
    found.enrolled.update(
        Enrollment.objects.filter(player_id__in=keys).values_list(
            "player_id", "plan_id"
        )
    )
    rows = Entitlement.objects.filter(player_id__in=keys)
    for player_id, item, until in rows.values_list("player_id", "item", "valid_until"):
        found.products[player_id, item] = until
    return found


def _compare(change: Change, known: _Known) -> Changed:
    player_id = _find(change.student, known)
    if isinstance(player_id, MemoraError):
        return Changed(refusal=player_id)
    if faults := _faults(change, known):
        return Changed(player_id, refusal=InvalidBodyError(faults))
    changed = Changed(player_id)
    for plan_id in dict.fromkeys(known.plans[name] for name in change.enroll):
        if (player_id, plan_id) not in known.enrolled:
            changed.enroll.append(plan_id)
    for plan_id in dict.fromkeys(known.plans[name] for name in change.unenroll):
        if (player_id, plan_id) in known.enrolled:
            changed.unenroll.append(plan_id)
    for item, until in change.grant.items():
        is_new = (player_id, item) not in known.products
        if is_new or bulk_access.is_later(until, known.products[player_id, item]):
            changed.grant[item] = until
    for item in dict.fromkeys(change.revoke):
        if (player_id, item) in known.products:
            changed.revoke.append(item)
    return changed


def _find(student: Student, known: _Known) -> int | MemoraError:
    found: int | None
    if student.player_id is not None:
        found = student.player_id if student.player_id in known.by_id else None
    elif student.school_number:
        found = known.by_number.get(canonical_number(student.school_number))
    elif student.email:
        found = known.by_email.get(canonical_email(student.email))
    else:
        said = _("Name the student by player_id, school_number or email.")
        return InvalidBodyError({"body": said})
    return found or PlayerNotFoundError(_("There is no such student."))


def _faults(change: Change, known: _Known) -> dict[str, list[str]]:
    faults: dict[str, list[str]] = {}
    for name in ("enroll", "unenroll"):
        for plan in getattr(change, name):
            if plan not in known.plans:
                said = _("There is no plan “%(name)s”.") % {"name": plan[:100]}
                faults.setdefault(name, []).append(said)
    for name in ("grant", "revoke"):
        for item in getattr(change, name):
            try:
                validate_item_code(item)
            except ValidationError as error:
                faults.setdefault(name, []).extend(error.messages)
    for added, taken in (("enroll", "unenroll"), ("grant", "revoke")):
        for name in sorted({*getattr(change, added)} & {*getattr(change, taken)}):
            said = _("“%(name)s” is in %(added)s and in %(taken)s.")
            faults.setdefault(taken, []).append(
                said % {"name": name[:100], "added": added, "taken": taken}
            )
    return faults

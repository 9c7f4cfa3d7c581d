"""Creating and changing many students: what each row would do, and doing it.

Rows come from a spreadsheet (`import_runs`) or from the staff API (`staff_writes`). A row
is about the student with its school number, else about the one with its e-mail.
Empty cells change nothing. Plans, products, groups and devices are added, never taken
away, so an import that is repeated changes nothing.

Passwords: a new student whose cell is empty gets no usable password; support gives them
one-time codes (`players.services.password_resets`), or sets one. A given password may be
weak, so it costs a full Argon2id hash: 15 to 30 ms of CPU each. `start_hashing` makes
them in threads (the library releases the GIL), outside of transactions. Passwords of
students who exist are not changed.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from content.fields import validate_item_code
from core.fields import validate_visible
from core.folding import fold
from plans.models import AcademicPlan, Grade
from players import audit
from players.credentials import (
    PASSWORD_MAX_LENGTH,
    canonical_email,
    canonical_number,
    canonical_password,
    canonical_phone,
)
from players.errors import InvalidDeviceIdError
from players.fields import validate_canonical_email, validate_phone
from players.models import (
    DEVICE_SLOTS,
    Device,
    Enrollment,
    Entitlement,
    GroupMember,
    PlayerProfile,
    PlayerWallet,
    SecurityEventType,
    StudyGroup,
    User,
)
from players.services import bulk_access, groups
from players.services.devices import parse_device_id
from players.services.ends import end_of_day
from players.services.student_sheet import Row

CREATED, UPDATED, UNCHANGED, REFUSED = "created", "updated", "unchanged", "refused"


@dataclass(slots=True)
class Outcome:
    """What a row does: one of the constants above, and its changes.

    ``account`` and ``profile`` have the new values of columns; the others what is added.
    ``faults`` has the column, or "", and the reason; a row with faults does nothing.
    """

    row: int
    kind: str = UNCHANGED
    player: PlayerProfile | None = None
    account: dict[str, Any] = field(default_factory=dict)
    profile: dict[str, Any] = field(default_factory=dict)
    password: str = ""
    plans: list[int] = field(default_factory=list)
    products: dict[str, datetime | None] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)
    devices: list[UUID] = field(default_factory=list)
    faults: list[tuple[str, str]] = field(default_factory=list)

    @property
    def changed_columns(self) -> list[str]:
        """The columns of the sheet whose cells change something."""
        names = [
            *self.account,
            *("grade" if n == "grade_id" else n for n in self.profile),
        ]
        lists = ("plans", "products", "groups", "devices")
        return names + [name for name in lists if getattr(self, name)]

    @property
    def digest(self) -> str:
        """A hash of what the row does, to compare a later result with a shown one."""
        promised = (
            *(self.kind, self.player and self.player.pk),
            *(sorted(self.account.items()), sorted(self.profile.items(), key=str)),
            *(self.plans, sorted(self.products.items(), key=str), self.groups),
            self.devices,
        )
        return hashlib.sha256(repr(promised).encode()).hexdigest()[:16]


@dataclass(slots=True)
class _Known:
    """The rows of the database that a batch of rows is compared with."""

    by_number: dict[str, PlayerProfile] = field(default_factory=dict)
    by_email: dict[str, User] = field(default_factory=dict)
    grades: dict[str, int] = field(default_factory=dict)
    plans: dict[str, int] = field(default_factory=dict)
    enrolled: set[tuple[int, int]] = field(default_factory=set)
    products: dict[tuple[int, str], datetime | None] = field(default_factory=dict)
    groups: set[tuple[int, str]] = field(default_factory=set)
    devices: dict[int, list[UUID]] = field(default_factory=dict)


# --- What each row does -------------------------------------------------------


def examine(rows: Sequence[Row]) -> list[Outcome]:
    """Return what each of up to 500 rows does. Ten queries; locks their accounts.

    Call it in a transaction.
    """
    known = _read(rows)
    return [_examine(row, known) for row in rows]


def _read(rows: Sequence[Row]) -> _Known:
    emails = {canonical_email(row.values.get("email", "")) for row in rows} - {""}
    numbers = {canonical_number(row.values.get("school_number", "")) for row in rows}
    numbers -= {""}
    found = PlayerProfile.objects.filter(school_number__in=numbers)
    users = User.objects.filter(email__in=emails)
    keys = {
        *found.values_list("user_id", flat=True),
        *users.values_list("pk", flat=True),
    }
    locked = User.objects.filter(pk__in=keys).order_by("pk").select_for_update()
    accounts = {user.pk: user for user in locked}
    players = list(PlayerProfile.objects.filter(user_id__in=accounts, erased_at=None))
    for user in accounts.values():
        user._state.fields_cache["player"] = None
    known = _Known()
    for player in players:
        player.user = accounts[player.user_id]
        player.user._state.fields_cache["player"] = player
        if player.school_number:
            known.by_number[player.school_number] = player
    known.by_email = {user.email: user for user in accounts.values()}
    known.grades = dict(Grade.objects.values_list("title_folded", "pk"))
    for pk, folded, public_id in AcademicPlan.objects.values_list(
        "pk", "title_folded", "public_id"
    ):
        known.plans.setdefault(folded, pk)
        known.plans[fold(public_id)] = pk
    held = [player.pk for player in players]
    known.enrolled = set(
        Enrollment.objects.filter(player_id__in=held).values_list(
            "player_id", "plan_id"
        )
    )
    known.products = {
        (player_id, item): until
        for player_id, item, until in Entitlement.objects.filter(
            player_id__in=held
        ).values_list("player_id", "item", "valid_until")
    }
    known.groups = set(
        GroupMember.objects.filter(player_id__in=held).values_list(
            "player_id", "group__name_folded"
        )
    )
    for player_id, device_id in Device.objects.filter(player_id__in=held).values_list(
        "player_id", "device_id"
    ):
        known.devices.setdefault(player_id, []).append(device_id)
    return known


def _examine(row: Row, known: _Known) -> Outcome:
    found = Outcome(row.number, faults=list(row.faults))
    _find(row, known, found)
    _check_account(row, found)
    _check_profile(row, known, found)
    _check_access(row, known, found)
    _check_devices(row, known, found)
    changes = found.account or found.profile or found.plans or found.products
    if found.faults:
        found.kind = REFUSED
    elif found.player is None:
        found.kind = CREATED
    elif changes or found.groups or found.devices:
        found.kind = UPDATED
    return found


def _find(row: Row, known: _Known, found: Outcome) -> None:
    """Find the student that a row is about."""
    number = canonical_number(row.values.get("school_number", ""))
    email = canonical_email(row.values.get("email", ""))
    by_number = known.by_number.get(number)
    account = known.by_email.get(email)
    if account is not None:
        player = account._state.fields_cache["player"]
        if player is None or account.is_staff or account.is_superuser:
            said = _("This e-mail address belongs to an account that is no student's.")
            found.faults.append(("email", said))
        elif by_number is not None and by_number.pk != player.pk:
            said = _("The school number and the e-mail are of two different students.")
            found.faults.append(("email", said))
        found.player = by_number or player
    else:
        found.player = by_number
    if found.player is None and not email:
        found.faults.append(("email", _("A new student needs an e-mail address.")))


def _set(
    found: Outcome, column: str, current: object, value: object, to: dict[str, Any]
) -> None:
    if value != current:
        to[column] = value


def _valid(found: Outcome, column: str, text: str, most: int, *checks: Any) -> bool:
    """Add the faults of a text; return whether there are none."""
    faults = []
    if len(text) > most:
        faults.append(_("At most %(limit)d characters.") % {"limit": most})
    else:
        for check in checks:
            try:
                check(text)
            except ValidationError as error:
                faults += error.messages
    found.faults += [(column, fault) for fault in faults]
    return not faults


def _check_account(row: Row, found: Outcome) -> None:
    user = found.player.user if found.player else User(email="", full_name="")
    if email := row.values.get("email"):
        email = canonical_email(email)
        if _valid(found, "email", email, 254, validate_canonical_email):
            _set(found, "email", user.email, email, found.account)
    name = row.values.get("full_name")
    if name and _valid(found, "full_name", name, 150, validate_visible):
        _set(found, "full_name", user.full_name, name, found.account)
    password = row.values.get("password")
    if password and found.player is None:
        new = User(email=email or "", full_name=name or "")
        if _valid(
            found,
            "password",
            password,
            PASSWORD_MAX_LENGTH,
            lambda text: validate_password(text, new),
        ):
            found.password = password


def _check_profile(row: Row, known: _Known, found: Outcome) -> None:
    profile = found.player or PlayerProfile()
    if number := row.values.get("school_number"):
        number = canonical_number(number)
        if _valid(found, "school_number", number, 32):
            _set(found, "school_number", profile.school_number, number, found.profile)
    if phone := row.values.get("phone"):
        phone = canonical_phone(phone)
        if _valid(found, "phone", phone, 16, validate_phone):
            _set(found, "phone", profile.phone, phone, found.profile)
    if grade := row.values.get("grade"):
        pk = known.grades.get(fold(grade))
        if pk is None:
            said = _("There is no grade “%(name)s”.") % {"name": grade[:100]}
            found.faults.append(("grade", said))
        else:
            _set(found, "grade_id", profile.grade_id, pk, found.profile)


def _check_access(row: Row, known: _Known, found: Outcome) -> None:
    player_id = found.player.pk if found.player else 0
    for name in row.lists.get("plans", ()):
        plan_id = known.plans.get(fold(name))
        if plan_id is None:
            said = _("There is no plan “%(name)s”.") % {"name": name[:100]}
            found.faults.append(("plans", said))
        elif (player_id, plan_id) not in known.enrolled and plan_id not in found.plans:
            found.plans.append(plan_id)
    until = _until(row, found)
    for item in row.lists.get("products", ()):
        if not _valid(found, "products", item, 64, validate_item_code):
            continue
        end = row.ends.get(item, until)
        held = known.products.get((player_id, item), end)
        is_new = (player_id, item) not in known.products
        if is_new or bulk_access.is_later(end, held):
            found.products[item] = end
    for name in row.lists.get("groups", ()):
        if _valid(found, "groups", name, 100, validate_visible) and (
            (player_id, fold(name)) not in known.groups
        ):
            found.groups.append(name)


def _until(row: Row, found: Outcome) -> datetime | None:
    text = row.values.get("until")
    if not text:
        return None
    try:
        return end_of_day(date.fromisoformat(canonical_number(text)))
    except ValueError:
        said = _("Enter a date such as 2027-06-30.")
        found.faults.append(("until", said))
        return None


def _check_devices(row: Row, known: _Known, found: Outcome) -> None:
    held = known.devices.get(found.player.pk, []) if found.player else []
    for text in row.lists.get("devices", ()):
        try:
            device_id = parse_device_id(text)
        except InvalidDeviceIdError as refusal:
            found.faults.append(("devices", refusal.message))
            continue
        if device_id not in held and device_id not in found.devices:
            found.devices.append(device_id)
    if found.devices and len(held) + len(found.devices) > len(DEVICE_SLOTS):
        said = _("A player can have at most two devices. Remove one to add another.")
        found.faults.append(("devices", said))


def new_groups(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the names of the groups that these outcomes create. One query."""
    names: dict[str, str] = {}
    for one in outcomes:
        if one.kind != REFUSED:
            for name in one.groups:
                names.setdefault(fold(name), name)
    held = StudyGroup.objects.filter(name_folded__in=names)
    known = set(held.values_list("name_folded", flat=True))
    return [name for key, name in names.items() if key not in known]


# --- Doing it -------------------------------------------------------------------


def start_hashing(rows: Iterable[Row], pool: Executor) -> dict[int, Future[str]]:
    """Hash the passwords of these rows in ``pool``.

    Returns:
        The hash of each row that has a password, by the number of the row.
    """
    return {
        row.number: pool.submit(make_password, canonical_password(password))
        for row in rows
        if (password := row.values.get("password"))
    }


@transaction.atomic
def apply(outcomes: Sequence[Outcome], hashed: Mapping[int, str]) -> None:
    """Do what up to 500 outcomes of `examine` say, in the same transaction.

    A fixed number of queries, except that each different plan, end of a product and
    changed e-mail address costs some.

    Args:
        hashed: the hash of each new password, by the number of the row.

    Raises:
        IntegrityError: another transaction has created one of the students since.
        StoreAwayError: Redis does not answer, and something may be taken away.
    """
    done = [one for one in outcomes if one.kind in (CREATED, UPDATED)]
    _create([one for one in done if one.kind == CREATED], hashed)
    _update([one for one in done if one.kind == UPDATED])
    _record(done)
    bulk_access.enroll((player_id_of(one), plan) for one in done for plan in one.plans)
    bulk_access.grant(
        (player_id_of(one), item, until)
        for one in done
        for item, until in one.products.items()
    )
    _join(done)
    _add_devices(done)


def player_id_of(outcome: Outcome) -> int:
    """Return the player of an outcome that was applied."""
    assert outcome.player is not None
    return outcome.player.pk


def _create(new: Sequence[Outcome], hashed: Mapping[int, str]) -> None:
    if not new:
        return
    users = [
        User(
            **one.account,
            password=hashed.get(one.row) or make_password(None),
        )
        for one in new
    ]
    User.objects.bulk_create(users)
    players = [
        PlayerProfile(user=user, **one.profile)
        for user, one in zip(users, new, strict=True)
    ]
    PlayerProfile.objects.bulk_create(players)
    PlayerWallet.objects.bulk_create(PlayerWallet(player=player) for player in players)
    for one, player in zip(new, players, strict=True):
        one.player = player


def _update(changed: Sequence[Outcome]) -> None:
    users, players = [], []
    for one in changed:
        assert one.player is not None
        for values, row in ((one.account, one.player.user), (one.profile, one.player)):
            for name, value in values.items():
                setattr(row, name, value)
        if one.account:
            users.append(one.player.user)
        if one.profile:
            players.append(one.player)
    if users:
        User.objects.bulk_update(users, ["email", "full_name"])
    if players:
        PlayerProfile.objects.bulk_update(players, ["school_number", "phone", "grade"])


def _record(done: Sequence[Outcome]) -> None:
    """Add an audit row for each student; products, plans and devices have their own."""
    for kind, event in (
        (CREATED, SecurityEventType.PLAYER_CREATED),
        (UPDATED, SecurityEventType.PLAYER_CHANGED),
    ):
        audit.record_each(
            event,
            [
                (one.player.user_id, {"columns": one.changed_columns})
                for one in done
                if one.kind == kind and one.player
            ],
        )


def _join(done: Sequence[Outcome]) -> None:
    """Add students to groups; groups that do not exist are created."""
    names = {fold(name): name for one in done for name in one.groups}
    if not names:
        return
    held = set(
        StudyGroup.objects.filter(name_folded__in=names).values_list(
            "name_folded", flat=True
        )
    )
    StudyGroup.objects.bulk_create(
        [StudyGroup(name=name) for key, name in names.items() if key not in held],
        ignore_conflicts=True,
    )
    keys = dict(
        StudyGroup.objects.filter(name_folded__in=names).values_list(
            "name_folded", "pk"
        )
    )
    groups.add_members(
        (keys[fold(name)], player_id_of(one)) for one in done for name in one.groups
    )


def _add_devices(done: Sequence[Outcome]) -> None:
    wanted = {player_id_of(one): one for one in done if one.devices}
    if not wanted:
        return
    taken: dict[int, set[int]] = defaultdict(set)
    slots = Device.objects.filter(player_id__in=wanted).values_list("player_id", "slot")
    for player_id, slot in slots:
        taken[player_id].add(slot)
    new, users = [], []
    for player_id, one in wanted.items():
        assert one.player is not None
        free = sorted(set(DEVICE_SLOTS) - taken[player_id])
        for slot, device_id in zip(free, one.devices, strict=False):
            new.append(Device(player_id=player_id, slot=slot, device_id=device_id))
            users.append(one.player.user_id)
    Device.objects.bulk_create(new)
    audit.record_each(
        SecurityEventType.DEVICE_ADDED,
        [(user_id, {}) for user_id in users],
        device_ids=[device.device_id for device in new],
    )

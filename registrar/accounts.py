"""Find accounts that were created in Moodle itself, and have them linked.

Moodle announces nothing, so its new accounts are read every five minutes. One with the
number or the address of a student or a teacher is linked by the effect of that row
(`registrar.effects.users`), which also tells Zoho the id. Others are kept for staff to see
(`UnlinkedAccount`), and compared again each time.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from django.db.models.functions import Lower

from registrar.effects import users as user_effects
from registrar.effects.site import Site
from registrar.models import LinkedRow, PeerState, Student, Teacher, UnlinkedAccount
from registrar.moodle import users
from registrar.moodle.users import User
from registrar.outbox.adding import push_again

OVERLAP = 100
"""How many ids before the newest one are read again: an account may become visible after
one with a higher id."""
_CHUNK = 500
_GUEST = "guest"
_MODULES: dict[str, type[LinkedRow]] = {
    "BTEC_Students": Student,
    "BTEC_Teachers": Teacher,
}


@dataclass(slots=True)
class Found:
    """How many accounts were compared, and the records that are being linked."""

    read: int
    linking: list[tuple[str, str]]


def find(site: Site, *, now: datetime) -> Found:
    """Compare new accounts in Moodle, and those that belong to nobody yet.

    The newest id is stored after its accounts were compared: a run that is killed is
    repeated as a whole.

    Raises:
        PeerError: Moodle does not answer; what was compared stays.
    """
    state, _is_new = PeerState.objects.get_or_create(peer="moodle")
    found = Found(0, [])
    for accounts in _new(site, state.newest_account):
        _compare(accounts, site, found, now=now)
        newest = max(user.id for user in accounts)
        PeerState.objects.filter(pk=state.pk).update(newest_account=newest)
    _compare_again(site, found, now=now)
    PeerState.objects.filter(pk=state.pk).update(accounts_read_at=now)
    return found


def _new(site: Site, newest: int) -> Iterator[list[User]]:
    """Iterate over the accounts since the newest one; over all if there are none.

    Then it is the first time, or another Moodle, or one restored from a backup.
    """
    last = max(newest - OVERLAP, 0)
    accounts = users.created_after(site.moodle, last_id=last) if newest else []
    if not accounts:
        everyone = users.everyone(site.moodle)
        if everyone:
            yield everyone
        return
    while accounts:
        yield accounts
        accounts = users.created_after(site.moodle, last_id=accounts[-1].id)


def _compare_again(site: Site, found: Found, *, now: datetime) -> None:
    """Compare accounts that belonged to nobody; forget those that Moodle has no more."""
    ids = list(UnlinkedAccount.objects.values_list("moodle_id", flat=True))
    for at in range(0, len(ids), _CHUNK):
        part = ids[at : at + _CHUNK]
        accounts = users.by_id(site.moodle, ids=part)
        lost = set(part) - {user.id for user in accounts}
        UnlinkedAccount.objects.filter(moodle_id__in=lost).delete()
        _compare(accounts, site, found, now=now)


def _compare(accounts: list[User], site: Site, found: Found, *, now: datetime) -> None:
    found.read += len(accounts)
    own = {site.moodle.info().user_id, *site.manager_ids}
    others = [
        user for user in accounts if user.id not in own and user.username != _GUEST
    ]
    for at in range(0, len(others), _CHUNK):
        _compare_part(others[at : at + _CHUNK], found, now=now)


def _compare_part(accounts: list[User], found: Found, *, now: datetime) -> None:
    linked = _linked([user.id for user in accounts])
    UnlinkedAccount.objects.filter(moodle_id__in=linked).delete()
    unlinked = [user for user in accounts if user.id not in linked]
    records = _records(unlinked)
    held = {
        one.moodle_id: one
        for one in UnlinkedAccount.objects.filter(
            moodle_id__in=[user.id for user in unlinked]
        )
    }
    for user in unlinked:
        module, row = records.get(user.idnumber or user.email.lower(), ("", None))
        values = _values(module, row)
        before = held.get(user.id)
        if before and all(getattr(before, name) == v for name, v in values.items()):
            continue
        # Before it is stored: if the process is killed between the two, the next run
        # finds an account that was not compared.
        if row is not None and row.moodle_id is None:
            push_again(module, row.zoho_id)
            found.linking.append((module, row.zoho_id))
        UnlinkedAccount.objects.update_or_create(
            moodle_id=user.id,
            defaults=values,
            create_defaults={**values, "found_at": now},
        )


def _values(module: str, row: LinkedRow | None) -> dict[str, str]:
    reason = UnlinkedAccount.Reason
    if row is None:
        return {"reason": reason.UNKNOWN, "module": "", "record_id": ""}
    is_free = row.moodle_id is None
    return {
        "reason": reason.LINKING if is_free else reason.TAKEN,
        "module": module,
        "record_id": row.zoho_id,
    }


def _linked(ids: list[int]) -> set[int]:
    """Return the ids that a student or a teacher has."""
    return {
        moodle_id
        for model in _MODULES.values()
        for moodle_id in model._default_manager.filter(moodle_id__in=ids).values_list(
            "moodle_id", flat=True
        )
        if moodle_id is not None
    }


def _records(accounts: Iterable[User]) -> dict[str, tuple[str, LinkedRow]]:
    """Return module and row by the number or the address that the accounts have.

    An account with a number is known by it alone. Deleted records are left out: an
    account that staff make for such a person is not ours.
    """
    numbers = {user.idnumber for user in accounts if user.idnumber}
    emails = {user.email.lower() for user in accounts if not user.idnumber}
    found: dict[str, tuple[str, LinkedRow]] = {}
    for module, model in _MODULES.items():
        rows = model._default_manager.filter(deleted_at=None).order_by("-pk")
        for row in _with_address(rows, emails - {""}):
            found[user_effects.address(row).lower()] = (module, row)
        for row in rows.filter(zoho_id__in=numbers):
            found[row.zoho_id] = (module, row)
    return found


def _with_address(rows: QuerySet[LinkedRow], emails: set[str]) -> Iterator[LinkedRow]:
    columns = [
        name for name in ("email", "academic_email") if hasattr(rows.model, name)
    ]
    for column in columns:
        lowered = rows.annotate(lowered=Lower(column)).filter(lowered__in=emails)
        yield from (
            row for row in lowered if user_effects.address(row).lower() in emails
        )

"""Accounts in Moodle of students and teachers (D1)."""

from dataclasses import dataclass, replace

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from registrar.effects import plugin, pushing
from registrar.effects.site import Site
from registrar.models import Effect, LinkedRow, Student, Teacher
from registrar.moodle import users
from registrar.outbox.running import ImpossibleError
from registrar.peers.errors import PeerRefusedError


@dataclass(frozen=True, kw_only=True)
class _Person:
    """What Moodle needs of a student or a teacher."""

    email: str
    first_name: str
    last_name: str
    city: str


def push_user(effect: Effect, site: Site) -> str:
    """Create or update the account of a row, suspend it if the record was deleted.

    Raises:
        ImpossibleError: Moodle would need other values.
    """
    row = pushing.row_of(effect)
    if row is None:
        return _("There is no such record any more.")
    person, is_gone = _person(row), row.deleted_at is not None
    account = _find(row, person, site)
    if account is None and is_gone:
        pushing.mark_pushed(effect)
        return _("The record was deleted before it had an account.")
    if account is None:
        moodle_id = _create(row, person, site)
        done = _("The account was created.")
    else:
        moodle_id = account.id
        done = _update(row, account, person, is_gone=is_gone, site=site)
    if row.moodle_id != moodle_id and isinstance(row, Student):
        pushing.push_places_again(student=row.zoho_id)
    remember_id(row, moodle_id)
    plugin.send_if_offered(effect, row, site)
    pushing.mark_pushed(effect)
    pushing.add_write_back(effect, row, moodle_id)
    return done


def remember_id(row: LinkedRow, moodle_id: int) -> None:
    """Store Moodle's id of a row.

    Raises:
        ImpossibleError: another row has it.
    """
    if row.moodle_id == moodle_id:
        return
    try:
        with transaction.atomic():
            type(row)._default_manager.filter(pk=row.pk).update(moodle_id=moodle_id)
    except IntegrityError:
        raise ImpossibleError(
            _("Another record here has the number %(id)d of Moodle.")
            % {"id": moodle_id}
        ) from None
    row.moodle_id = moodle_id


def address(row: LinkedRow) -> str:
    """Return the address by which the account of a row is found; "" for none."""
    return _person(row).email


def _person(row: LinkedRow) -> _Person:
    if isinstance(row, Student):
        first = row.first_name or row.display_name
        return _Person(
            email=row.academic_email.strip(),
            first_name=first.strip(),
            last_name=(row.last_name or first).strip(),
            city=row.city.strip(),
        )
    assert isinstance(row, Teacher)
    first, _space, last = row.name.strip().partition(" ")
    return _Person(
        email=(row.academic_email or row.email).strip(),
        first_name=first,
        last_name=last.strip() or first,
        city="",
    )


def _find(row: LinkedRow, person: _Person, site: Site) -> users.User | None:
    """Return the row's account: by our key, by the id in Zoho, by the address.

    An account that is found without our key gets it: staff created it in Moodle.
    """
    found = users.by_idnumber(site.moodle, idnumbers=[row.zoho_id])
    if found:
        known = [user for user in found if user.id == row.moodle_id]
        return (known or sorted(found, key=lambda user: user.id))[0]
    if row.crm_moodle_id.isascii() and row.crm_moodle_id.isdigit():
        found = users.by_id(site.moodle, ids=[int(row.crm_moodle_id)])
    if not found and person.email:
        # Some databases of Moodle compare addresses letter by letter.
        emails = sorted({person.email, person.email.lower()})
        found = users.by_email(site.moodle, emails=emails)
    if not found:
        return None
    if found[0].idnumber:
        raise ImpossibleError(
            _("The account %(id)d in Moodle belongs to another record of Zoho.")
            % {"id": found[0].id}
        )
    users.update(site.moodle, user_id=found[0].id, idnumber=row.zoho_id)
    return found[0]


def _create(row: LinkedRow, person: _Person, site: Site) -> int:
    if not person.email or not person.first_name:
        raise ImpossibleError(
            _("Moodle needs a name and an academic e-mail address. Enter them in Zoho.")
        )
    new = users.NewUser(
        username=person.email,
        idnumber=row.zoho_id,
        email=person.email,
        first_name=person.first_name,
        last_name=person.last_name,
        city=person.city,
    )
    try:
        [created] = users.create(site.moodle, users=[new])
    except PeerRefusedError as error:
        if error.reason != "invalidparameter":
            raise
        # Perhaps the user name: taken, or with a character that Moodle does not accept.
        new = replace(new, username=row.zoho_id)
        [created] = users.create(site.moodle, users=[new])
    return created


def changes(row: LinkedRow, account: users.User) -> dict[str, str]:
    """Return what differs between a row and its account, by Moodle's names.

    An empty value in Zoho empties nothing that Moodle needs.
    """
    person = _person(row)
    wanted = {
        "firstname": (person.first_name, account.first_name),
        "lastname": (person.last_name, account.last_name),
        "email": (person.email.lower(), account.email.lower()),
    }
    return {name: new for name, (new, held) in wanted.items() if new and new != held}


def _update(
    row: LinkedRow, account: users.User, person: _Person, *, is_gone: bool, site: Site
) -> str:
    found = changes(row, account)
    if person.city:
        found["city"] = person.city
    if found and not is_gone:
        users.update(site.moodle, user_id=account.id, **found)
    # A suspension by staff in Moodle stays: only our own one is taken back.
    if is_gone and not account.suspended:
        _mark_suspended(row, suspended=True)
        users.suspend(site.moodle, user_id=account.id, suspended=True)
        return _("The account was suspended.")
    if not is_gone and account.suspended and row.is_suspended:
        users.suspend(site.moodle, user_id=account.id, suspended=False)
        _mark_suspended(row, suspended=False)
        return _("The account is no longer suspended.")
    return _("The account is up to date.")


def _mark_suspended(row: LinkedRow, *, suspended: bool) -> None:
    type(row)._default_manager.filter(pk=row.pk).update(is_suspended=suspended)

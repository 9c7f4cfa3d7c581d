"""Creating and changing students for the staff API, by the rules of the import."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from core.api_types import InvalidBodyError
from players import hashers
from players.errors import PlayerExistsError
from players.services import student_import, student_sheet
from players.services.student_import import CREATED, REFUSED, Outcome
from players.services.student_sheet import Row


@dataclass(frozen=True, slots=True)
class Written:
    """What was done for each row, and the new passwords by the number of the row."""

    outcomes: list[Outcome]
    passwords: dict[int, str] = field(default_factory=dict)


def write_many(
    rows: Sequence[Row], *, is_dry_run: bool, with_passwords: bool
) -> Written:
    """Create and change students; a row that is refused changes nothing.

    A fixed number of queries, except that each different plan, end of a product and
    changed e-mail address costs some.

    Args:
        rows: up to 500, without given passwords.
        is_dry_run: return what would be done.
        with_passwords: generate a password for each student that is created.

    Raises:
        StoreAwayError: Redis does not answer, and something may be taken away; nothing
            has changed.
    """
    student_sheet.refuse_repeated(rows, _("Element %(row)d is about the same student."))
    if is_dry_run:
        with transaction.atomic():
            return Written(student_import.examine(rows))
    try:
        return _write(rows, with_passwords=with_passwords)
    except IntegrityError:
        # Another request has created one of them since they were read.
        alone = [_write_alone(row, with_passwords=with_passwords) for row in rows]
    return Written(
        [outcome for one in alone for outcome in one.outcomes],
        {number: made for one in alone for number, made in one.passwords.items()},
    )


@transaction.atomic
def _write(rows: Sequence[Row], *, with_passwords: bool) -> Written:
    outcomes = student_import.examine(rows)
    passwords = {
        one.row: hashers.generate()
        for one in outcomes
        if with_passwords and one.kind == CREATED
    }
    hashed = {row: hashers.hash_generated(text) for row, text in passwords.items()}
    student_import.apply(outcomes, hashed)
    return Written(outcomes, passwords)


def _write_alone(row: Row, *, with_passwords: bool) -> Written:
    try:
        return _write([row], with_passwords=with_passwords)
    except IntegrityError:
        said = _("Another request changes this student. Send the element again.")
        return Written([Outcome(row.number, kind=REFUSED, faults=[("", said)])])


def create(row: Row, *, with_password: bool) -> tuple[int, str | None]:
    """Create a student.

    Returns:
        The number of the player, and the generated password if one was wanted.

    Raises:
        PlayerExistsError: there is a student with the school number or the e-mail.
        InvalidBodyError: values are invalid.
        StoreAwayError: Redis does not answer; nothing has changed.
    """
    # A student whom another request creates meanwhile is found the second time.
    for _attempt in range(2):
        try:
            return _create(row, with_password=with_password)
        except IntegrityError:
            continue
    return _create(row, with_password=with_password)


@transaction.atomic
def _create(row: Row, *, with_password: bool) -> tuple[int, str | None]:
    (found,) = student_import.examine([row])
    if found.faults:
        raise refusal_of(found)
    if found.player is not None:
        raise PlayerExistsError(found.player.pk)
    password = hashers.generate() if with_password else None
    hashed = {row.number: hashers.hash_generated(password)} if password else {}
    student_import.apply([found], hashed)
    return student_import.player_id_of(found), password


def refusal_of(outcome: Outcome) -> InvalidBodyError:
    """Return the error of an outcome with faults, with the field names of the API."""
    faults: dict[str, list[str]] = {}
    for column, reason in outcome.faults:
        name = {"full_name": "name", "": "body"}.get(column, column)
        faults.setdefault(name, []).append(reason)
    return InvalidBodyError(faults)

"""Moodle's user accounts.

``idnumber`` is not unique in Moodle: a create that is repeated makes a second account.
So look up by ``idnumber`` before each create.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from registrar.moodle.client import MoodleClient, check_warnings

MAX_USERS = 500
"""The most users of one call: 4,000 values (`client.MAX_PARAMETERS`), some seconds."""
ID_WINDOW = 500
"""How many ids after the last known one are asked for. Numbers are given one after
another; an interrupted transaction may leave out some, but not so many."""
_DIGEST = re.compile(r"[0-9a-f]{32}")
"""What a deleted account has in place of its address."""


@dataclass(frozen=True, slots=True)
class User:
    """An account. ``idnumber`` is Zoho's id of the student or teacher, or ""."""

    id: int
    username: str
    idnumber: str
    email: str
    first_name: str
    last_name: str
    suspended: bool


@dataclass(frozen=True, kw_only=True)
class NewUser:
    """An account to create.

    Args:
        username: is lower-cased, as Moodle requires.
        email: Moodle refuses a second account with the same address.
        auth: the method of signing in. With ``manual`` Moodle makes a password and
            sends it to the user.
    """

    username: str
    idnumber: str
    email: str
    first_name: str
    last_name: str
    city: str = ""
    auth: str = "manual"


def by_idnumber(client: MoodleClient, *, idnumbers: Sequence[str]) -> list[User]:
    """Return all accounts with these ``idnumber``s; several may have the same."""
    return _by_field(client, "idnumber", idnumbers)


def by_email(client: MoodleClient, *, emails: Sequence[str]) -> list[User]:
    """Return the accounts with these addresses."""
    return _by_field(client, "email", emails)


def by_id(client: MoodleClient, *, ids: Sequence[int]) -> list[User]:
    """Return the accounts with these ids; deleted ones are left out."""
    return _by_field(client, "id", [str(one) for one in ids])


def created_after(client: MoodleClient, *, last_id: int) -> list[User]:
    """Return the accounts with the next ids after ``last_id``, in order of their ids.

    Moodle has no list of new accounts: this asks for `ID_WINDOW` ids. Repeat it with
    the last id found until nothing is found.
    """
    ids = range(last_id + 1, last_id + 1 + ID_WINDOW)
    return sorted(by_id(client, ids=ids), key=lambda user: user.id)


def everyone(client: MoodleClient) -> list[User]:
    """Return all accounts: one large answer, for the nightly comparison."""
    found = client.read(
        "core_user_get_users", criteria=[{"key": "email", "value": "%"}]
    )
    return [_user(row) for row in found["users"]]


def create(client: MoodleClient, *, users: Sequence[NewUser]) -> list[int]:
    """Create up to 500 accounts and return their ids, in the same order.

    Either all are created or none.

    Raises:
        PeerRefusedError: ``invalidparameter``, whatever is wrong: a user name or an
            address that another account has, or an invalid one.
    """
    if len(users) > MAX_USERS:
        raise ValueError(f"{len(users)} users; at most {MAX_USERS} in a call")
    rows = [
        {
            "username": user.username.lower(),
            "idnumber": user.idnumber,
            "email": user.email,
            "firstname": user.first_name,
            "lastname": user.last_name,
            "city": user.city,
            "auth": user.auth,
            "createpassword": user.auth == "manual",
        }
        for user in users
    ]
    found = client.write("core_user_create_users", users=rows) if rows else []
    return [int(row["id"]) for row in found]


def update(client: MoodleClient, *, user_id: int, **values: str) -> None:
    """Change an account: ``email``, ``firstname``, ``lastname``, ``city``, ``idnumber``.

    Raises:
        PeerRefusedError: ``invaliduserid``: there is no such account;
            ``useremailduplicate``: another account has the address.
    """
    _update(client, {"id": user_id, **values})


def suspend(client: MoodleClient, *, user_id: int, suspended: bool) -> None:
    """Let a user sign in no longer, or again. Grades and enrolments stay.

    Raises:
        PeerRefusedError: ``invaliduserid``: there is no such account.
    """
    _update(client, {"id": user_id, "suspended": suspended})


def _update(client: MoodleClient, row: dict[str, Any]) -> None:
    check_warnings(client.write("core_user_update_users", users=[row]))


def _by_field(client: MoodleClient, field: str, values: Sequence[str]) -> list[User]:
    if not values:
        return []
    found = client.read("core_user_get_users_by_field", field=field, values=values)
    # By id, Moodle also returns deleted accounts, and does not say that they are.
    return [
        _user(row) for row in found if not _DIGEST.fullmatch(str(row.get("email", "")))
    ]


def _user(row: dict[str, Any]) -> User:
    return User(
        id=int(row["id"]),
        username=str(row["username"]),
        # Moodle leaves out empty fields.
        idnumber=str(row.get("idnumber", "")),
        email=str(row.get("email", "")),
        first_name=str(row.get("firstname", "")),
        last_name=str(row.get("lastname", "")),
        suspended=bool(row.get("suspended", False)),
    )

"""Security events as sentences: who did what to whom, and why."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.utils.formats import localize
from django.utils.functional import Promise
from django.utils.timezone import localtime
from django.utils.translation import gettext as _, gettext_lazy, pgettext_lazy

from core.parsing import parse_time
from plans.models import AcademicPlan
from players.models import SecurityEvent, SecurityEventType as Type, SessionEndReason

_SENTENCES: dict[str, tuple[Promise, Promise]] = {
    Type.LOGIN: (
        gettext_lazy("%(user)s signed in"),
        gettext_lazy("%(user)s signed in"),
    ),
    Type.LOGOUT: (
        gettext_lazy("%(user)s signed out"),
        gettext_lazy("%(user)s signed out"),
    ),
    Type.REFUSED: (
        gettext_lazy("A request of %(user)s was refused"),
        gettext_lazy("A sign-in or request of %(user)s was refused"),
    ),
    Type.SESSION_ENDED: (
        gettext_lazy("%(actor)s ended the session of %(user)s"),
        gettext_lazy("The session of %(user)s ended"),
    ),
    Type.DEVICE_ADDED: (
        gettext_lazy("%(actor)s added a device of %(user)s"),
        gettext_lazy("A device of %(user)s was added"),
    ),
    Type.DEVICE_REMOVED: (
        gettext_lazy("%(actor)s removed a device of %(user)s"),
        gettext_lazy("A device of %(user)s was removed"),
    ),
    Type.DEVICE_REPLACED: (
        gettext_lazy("%(actor)s replaced a device of %(user)s"),
        gettext_lazy("%(user)s replaced a device"),
    ),
    Type.RATE_LIMITED: (
        gettext_lazy("%(user)s made too many requests"),
        gettext_lazy("%(user)s made too many requests"),
    ),
    Type.STAFF_LOGIN: (
        gettext_lazy("%(user)s signed in to the admin"),
        gettext_lazy("%(user)s signed in to the admin"),
    ),
    Type.STAFF_LOGIN_FAILED: (
        gettext_lazy("A sign-in to the admin as %(user)s failed"),
        gettext_lazy("A sign-in to the admin as %(user)s failed"),
    ),
    Type.STAFF_LOGOUT: (
        gettext_lazy("%(user)s signed out of the admin"),
        gettext_lazy("%(user)s signed out of the admin"),
    ),
    Type.ACCOUNT_ACTIVATED: (
        gettext_lazy("%(actor)s switched the account of %(user)s on"),
        gettext_lazy("The account of %(user)s was switched on"),
    ),
    Type.ACCOUNT_DEACTIVATED: (
        gettext_lazy("%(actor)s switched the account of %(user)s off"),
        gettext_lazy("The account of %(user)s was switched off"),
    ),
    Type.PASSWORD_CHANGED: (
        gettext_lazy("%(actor)s changed the password of %(user)s"),
        gettext_lazy("The password of %(user)s was changed"),
    ),
    Type.RESET_REQUESTED: (
        gettext_lazy("%(user)s asked for a new password"),
        gettext_lazy("%(user)s asked for a new password"),
    ),
    Type.RESET_CODE_ISSUED: (
        gettext_lazy("%(actor)s issued a password reset code for %(user)s"),
        gettext_lazy("A password reset code for %(user)s was issued"),
    ),
    Type.PASSWORD_RESET: (
        gettext_lazy("%(user)s set a new password"),
        gettext_lazy("%(user)s set a new password"),
    ),
    Type.EMAIL_CHANGED: (
        gettext_lazy("%(actor)s changed the e-mail address of %(user)s"),
        gettext_lazy("The e-mail address of %(user)s was changed"),
    ),
    Type.RIGHTS_CHANGED: (
        gettext_lazy("%(actor)s changed the rights of %(user)s"),
        gettext_lazy("The rights of %(user)s were changed"),
    ),
    Type.ENROLLMENT_ADDED: (
        gettext_lazy("%(actor)s enrolled %(user)s in a plan"),
        gettext_lazy("%(user)s was enrolled in a plan"),
    ),
    Type.ENROLLMENT_CHANGED: (
        gettext_lazy("%(actor)s changed an enrolment of %(user)s"),
        gettext_lazy("An enrolment of %(user)s was changed"),
    ),
    Type.ENROLLMENT_REMOVED: (
        gettext_lazy("%(actor)s removed an enrolment of %(user)s"),
        gettext_lazy("An enrolment of %(user)s was removed"),
    ),
    Type.ENTITLEMENT_ADDED: (
        gettext_lazy("%(actor)s gave %(user)s a product"),
        gettext_lazy("%(user)s was given a product"),
    ),
    Type.ENTITLEMENT_CHANGED: (
        gettext_lazy("%(actor)s changed a product of %(user)s"),
        gettext_lazy("A product of %(user)s was changed"),
    ),
    Type.ENTITLEMENT_REMOVED: (
        gettext_lazy("%(actor)s took a product from %(user)s"),
        gettext_lazy("A product of %(user)s was removed"),
    ),
    Type.PLAN_ACTIVATED: (
        gettext_lazy("%(actor)s chose the active plan of %(user)s"),
        gettext_lazy("%(user)s chose an active plan"),
    ),
    Type.WALLET_CORRECTED: (
        gettext_lazy("%(actor)s corrected the XP of %(user)s"),
        gettext_lazy("The XP of %(user)s was corrected"),
    ),
    Type.WALLETS_SYNCED: (
        gettext_lazy("%(actor)s had the wallets saved"),
        gettext_lazy("The wallets were saved"),
    ),
    Type.PLAYER_ERASED: (
        gettext_lazy("%(actor)s erased a student"),
        gettext_lazy("A student was erased"),
    ),
    Type.PLAYER_EXPORTED: (
        gettext_lazy("%(actor)s exported all data of %(user)s"),
        gettext_lazy("All data of %(user)s was exported"),
    ),
    Type.PHOTO_CHANGED: (
        gettext_lazy("%(actor)s changed the photo of %(user)s"),
        gettext_lazy("%(user)s changed the photo"),
    ),
    Type.PHOTO_REMOVED: (
        gettext_lazy("%(actor)s removed the photo of %(user)s"),
        gettext_lazy("%(user)s removed the photo"),
    ),
    Type.EVENTS_EXPORTED: (
        gettext_lazy("%(actor)s exported security events"),
        gettext_lazy("Security events were exported"),
    ),
}
"""For each type: with a member of staff who acted, and without."""

_BY = {
    "link": gettext_lazy("with a link by e-mail"),
    "code": gettext_lazy("with a code from support"),
}


@dataclass(frozen=True, slots=True)
class Names:
    """The names of rows that events have the keys of."""

    plans: Mapping[int, str]
    groups: Mapping[int, str]
    permissions: Mapping[int, str]


def names_of(events: Iterable[SecurityEvent]) -> Names:
    """Return the names that `facts` needs for these events. Three queries."""
    plans: set[int] = {0}  # no row has the key 0; the number of queries is constant
    groups, permissions = {0}, {0}
    for event in events:
        found = event.details
        plans.update(_keys(found.get("plan")), _keys(found.get("previous")))
        groups.update(_keys(found.get("group")), _changed(found.get("groups")))
        permissions.update(_changed(found.get("permissions")))
    return Names(
        plans=_titles(AcademicPlan, "title", plans),
        groups=_titles(Group, "name", groups),
        permissions=_titles(Permission, "name", permissions),
    )


def _titles(model: Any, column: str, keys: set[int]) -> dict[int, str]:
    rows = model._default_manager.filter(pk__in=keys).order_by()
    return dict(rows.values_list("pk", column))


def _keys(value: Any) -> list[int]:
    return [value] if isinstance(value, int) else []


def _changed(change: Any) -> list[int]:
    """Return the keys in ``{"added": […], "removed": […]}``."""
    if not isinstance(change, Mapping):
        return []
    return [key for keys in change.values() for key in keys]


def sentence(event: SecurityEvent) -> str:
    """Return who did what to whom; reads ``actor`` and ``user`` of the event."""
    names = {
        "actor": person(event.actor),
        "user": person(event.user) or _("an unknown account"),
    }
    known = _SENTENCES.get(event.type)
    if known is None:  # a type that a later version has written
        return f"{event.type}: {names['user']}"
    by_actor, alone = known
    return str(by_actor if names["actor"] else alone) % names


def person(user: Any) -> str:
    """Return the name of an account, isolated from the direction of the text around."""
    return f"\u2068{user.get_full_name()}\u2069" if user is not None else ""


def reason(event: SecurityEvent) -> str:
    """Return why it was done or refused; "" if no reason was recorded."""
    found = event.details
    if event.type == Type.SESSION_ENDED:
        return str(dict(SessionEndReason.choices).get(found.get("reason"), ""))
    if event.type == Type.PASSWORD_RESET:
        return str(_BY.get(found.get("by", ""), ""))
    return str(found.get("reason") or found.get("code") or "")


def facts(event: SecurityEvent, names: Names) -> list[tuple[str, str]]:
    """Return the other details, each with its label, in the order of the record."""
    found = []
    for key, value in event.details.items():
        if key in ("reason", "code", "by"):
            continue
        label, shown = _FACTS.get(key, (key, _as_is))
        found.append((str(label), shown(value, names)))
    return found


def _as_is(value: Any, _names: Names) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, list):
        return _list(str(one) for one in value)
    return str(localize(value)) if isinstance(value, int) else str(value)


def _list(values: Iterable[str]) -> str:
    return _(", ").join(values)


def _number(value: Any, _names: Names) -> str:
    return str(value)


def _plan(value: Any, names: Names) -> str:
    return "–" if value is None else names.plans.get(value, f"#{value}")


def _group(value: Any, names: Names) -> str:
    return names.groups.get(value, f"#{value}")


def _until(value: Any, _names: Names) -> str:
    if value is None:
        return _("no end")
    moment = parse_time(value)
    return str(value) if moment is None else str(localize(localtime(moment)))


def _change(kind: str) -> Callable[[Any, Names], str]:
    """Return a function that writes ``+ added, − removed`` with names."""

    def shown(change: Any, names: Names) -> str:
        known: Mapping[int, str] = getattr(names, kind)
        return _list(
            f"{'+' if what == 'added' else '−'} {known.get(key, f'#{key}')}"
            for what, keys in change.items()
            for key in keys
        )

    return shown


_FACTS: dict[str, tuple[Promise | str, Callable[[Any, Names], str]]] = {
    "plan": (gettext_lazy("plan"), _plan),
    "previous": (gettext_lazy("plan before"), _plan),
    "plan_id": (gettext_lazy("plan's id"), _number),
    "players": (gettext_lazy("players"), _as_is),
    "player": (gettext_lazy("player number"), _number),
    "item": (gettext_lazy("product code"), _number),
    "until": (gettext_lazy("until"), _until),
    "xp": (gettext_lazy("XP"), _as_is),
    "endpoint": (gettext_lazy("endpoint"), _number),
    "group": (gettext_lazy("group"), _group),
    "groups": (gettext_lazy("groups"), _change("groups")),
    "permissions": (gettext_lazy("permissions"), _change("permissions")),
    "deleted": (pgettext_lazy("a group of staff", "deleted"), _as_is),
    "is_staff": (gettext_lazy("may use the admin"), _as_is),
    "is_superuser": (gettext_lazy("has all rights"), _as_is),
    "replaced": (gettext_lazy("device before"), _number),
    "force": (gettext_lazy("all of them"), _as_is),
    "synced": (gettext_lazy("wallets"), _as_is),
    "events": (gettext_lazy("events"), _as_is),
    "filters": (gettext_lazy("filters"), _as_is),
}
"""For each detail: its label, and how its value is written."""

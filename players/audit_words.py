"""Security events in words: who did what to whom, why, and the details.

The list of events, its export and the page of a student use them. `players.audit`
lists the details that an event may have.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.utils.formats import localize
from django.utils.functional import Promise
from django.utils.timezone import localtime
from django.utils.translation import gettext as _, gettext_lazy, pgettext_lazy

from core.badges import Tone
from core.parsing import parse_time
from plans.models import AcademicPlan
from players import request_words
from players.models import SecurityEvent, SecurityEventType as Type, SessionEndReason
from players.services import student_sheet


@dataclass(frozen=True, slots=True)
class _Kind:
    """How events of a type look, and what they say."""

    look: tuple[str, Tone]
    """The shape and the tone of its badge."""
    sentence: Promise
    without_actor: Promise | None = None
    """The sentence if no member of staff acted, where it is another one."""


_IN: tuple[str, Tone] = ("●", "done")
_OUT: tuple[str, Tone] = ("○", "quiet")
_REFUSED: tuple[str, Tone] = ("!", "failed")
_LIMITED: tuple[str, Tone] = ("!", "waiting")
_ADDED: tuple[str, Tone] = ("+", "action")
_REMOVED: tuple[str, Tone] = ("−", "action")
_CHANGED: tuple[str, Tone] = ("±", "action")
_SENT: tuple[str, Tone] = ("→", "action")

_KINDS: dict[str, _Kind] = {
    Type.LOGIN: _Kind(_IN, gettext_lazy("%(user)s signed in")),
    Type.LOGOUT: _Kind(_OUT, gettext_lazy("%(user)s signed out")),
    Type.REFUSED: _Kind(
        _REFUSED,
        gettext_lazy("A request of %(user)s was refused"),
        gettext_lazy("A sign-in or request of %(user)s was refused"),
    ),
    Type.SESSION_ENDED: _Kind(
        _OUT,
        gettext_lazy("%(actor)s ended the session of %(user)s"),
        gettext_lazy("The session of %(user)s ended"),
    ),
    Type.DEVICE_ADDED: _Kind(
        _ADDED,
        gettext_lazy("%(actor)s added a device of %(user)s"),
        gettext_lazy("A device of %(user)s was added"),
    ),
    Type.DEVICE_REMOVED: _Kind(
        _REMOVED,
        gettext_lazy("%(actor)s removed a device of %(user)s"),
        gettext_lazy("A device of %(user)s was removed"),
    ),
    Type.DEVICE_REPLACED: _Kind(
        _CHANGED,
        gettext_lazy("%(actor)s replaced a device of %(user)s"),
        gettext_lazy("%(user)s replaced a device"),
    ),
    Type.RATE_LIMITED: _Kind(_LIMITED, gettext_lazy("%(user)s made too many requests")),
    Type.STAFF_LOGIN: _Kind(_IN, gettext_lazy("%(user)s signed in to the admin")),
    Type.STAFF_LOGIN_FAILED: _Kind(
        _REFUSED, gettext_lazy("A sign-in to the admin as %(user)s failed")
    ),
    Type.STAFF_LOGOUT: _Kind(_OUT, gettext_lazy("%(user)s signed out of the admin")),
    Type.ACCOUNT_ACTIVATED: _Kind(
        _ADDED,
        gettext_lazy("%(actor)s switched the account of %(user)s on"),
        gettext_lazy("The account of %(user)s was switched on"),
    ),
    Type.ACCOUNT_DEACTIVATED: _Kind(
        _REMOVED,
        gettext_lazy("%(actor)s switched the account of %(user)s off"),
        gettext_lazy("The account of %(user)s was switched off"),
    ),
    Type.PASSWORD_CHANGED: _Kind(
        _CHANGED,
        gettext_lazy("%(actor)s changed the password of %(user)s"),
        gettext_lazy("The password of %(user)s was changed"),
    ),
    Type.RESET_REQUESTED: _Kind(
        _SENT, gettext_lazy("%(user)s asked for a new password")
    ),
    Type.RESET_CODE_ISSUED: _Kind(
        _SENT,
        gettext_lazy("%(actor)s issued a password reset code for %(user)s"),
        gettext_lazy("A password reset code for %(user)s was issued"),
    ),
    Type.PASSWORD_RESET: _Kind(_CHANGED, gettext_lazy("%(user)s set a new password")),
    Type.EMAIL_CHANGED: _Kind(
        _CHANGED,
        gettext_lazy("%(actor)s changed the e-mail address of %(user)s"),
        gettext_lazy("The e-mail address of %(user)s was changed"),
    ),
    Type.RIGHTS_CHANGED: _Kind(
        _CHANGED,
        gettext_lazy("%(actor)s changed the rights of %(user)s"),
        gettext_lazy("The rights of %(user)s were changed"),
    ),
    Type.ENROLLMENT_ADDED: _Kind(
        _ADDED,
        gettext_lazy("%(actor)s enrolled %(user)s in a plan"),
        gettext_lazy("%(user)s was enrolled in a plan"),
    ),
    Type.ENROLLMENT_CHANGED: _Kind(
        _CHANGED,
        gettext_lazy("%(actor)s changed an enrolment of %(user)s"),
        gettext_lazy("An enrolment of %(user)s was changed"),
    ),
    Type.ENROLLMENT_REMOVED: _Kind(
        _REMOVED,
        gettext_lazy("%(actor)s removed an enrolment of %(user)s"),
        gettext_lazy("An enrolment of %(user)s was removed"),
    ),
    Type.ENTITLEMENT_ADDED: _Kind(
        _ADDED,
        gettext_lazy("%(actor)s gave %(user)s a product"),
        gettext_lazy("%(user)s was given a product"),
    ),
    Type.ENTITLEMENT_CHANGED: _Kind(
        _CHANGED,
        gettext_lazy("%(actor)s changed a product of %(user)s"),
        gettext_lazy("A product of %(user)s was changed"),
    ),
    Type.ENTITLEMENT_REMOVED: _Kind(
        _REMOVED,
        gettext_lazy("%(actor)s took a product from %(user)s"),
        gettext_lazy("A product of %(user)s was removed"),
    ),
    Type.PLAN_ACTIVATED: _Kind(
        _CHANGED,
        gettext_lazy("%(actor)s chose the active plan of %(user)s"),
        gettext_lazy("%(user)s chose an active plan"),
    ),
    Type.WALLET_CORRECTED: _Kind(
        _CHANGED,
        gettext_lazy("%(actor)s corrected the XP of %(user)s"),
        gettext_lazy("The XP of %(user)s was corrected"),
    ),
    Type.FREEZES_GIVEN: _Kind(
        _ADDED,
        gettext_lazy("%(actor)s gave %(user)s streak freezes"),
        gettext_lazy("%(user)s was given streak freezes"),
    ),
    Type.PROGRESS_GRANTED: _Kind(
        _ADDED,
        gettext_lazy("%(actor)s granted %(user)s progress"),
        gettext_lazy("%(user)s was granted progress"),
    ),
    Type.PROGRESS_RESET: _Kind(
        _REMOVED,
        gettext_lazy("%(actor)s reset progress of %(user)s"),
        gettext_lazy("Progress of %(user)s was reset"),
    ),
    Type.WALLETS_SYNCED: _Kind(
        _CHANGED,
        gettext_lazy("%(actor)s had the wallets saved"),
        gettext_lazy("The wallets were saved"),
    ),
    Type.PLAYER_CREATED: _Kind(
        _ADDED,
        gettext_lazy("%(actor)s created the student %(user)s"),
        gettext_lazy("The student %(user)s was created"),
    ),
    Type.PLAYER_CHANGED: _Kind(
        _CHANGED,
        gettext_lazy("%(actor)s changed the student %(user)s"),
        gettext_lazy("The student %(user)s was changed"),
    ),
    Type.SLIP_PRINTED: _Kind(
        _SENT,
        gettext_lazy("%(actor)s printed a sign-in slip of %(user)s"),
        gettext_lazy("A sign-in slip of %(user)s was printed"),
    ),
    Type.PLAYER_ERASED: _Kind(
        _REMOVED,
        gettext_lazy("%(actor)s erased a student"),
        gettext_lazy("A student was erased"),
    ),
    Type.PLAYER_EXPORTED: _Kind(
        _SENT,
        gettext_lazy("%(actor)s exported all data of %(user)s"),
        gettext_lazy("All data of %(user)s was exported"),
    ),
    Type.PHOTO_CHANGED: _Kind(
        _CHANGED,
        gettext_lazy("%(actor)s changed the photo of %(user)s"),
        gettext_lazy("%(user)s changed the photo"),
    ),
    Type.PHOTO_REMOVED: _Kind(
        _REMOVED,
        gettext_lazy("%(actor)s removed the photo of %(user)s"),
        gettext_lazy("%(user)s removed the photo"),
    ),
    Type.EVENTS_EXPORTED: _Kind(
        _SENT,
        gettext_lazy("%(actor)s exported security events"),
        gettext_lazy("Security events were exported"),
    ),
}

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


def look(event: SecurityEvent) -> tuple[str, Tone]:
    """Return the shape and the tone of the event's badge."""
    kind = _KINDS.get(event.type)
    return ("·", "quiet") if kind is None else kind.look


def label(event: SecurityEvent) -> str:
    """Return the name of the event's type.

    ``get_type_display()`` translates the names of all types each time, which took most
    of the time of an export.
    """
    if event.type not in _KINDS:  # a type that a later version has written
        return event.type
    return str(Type(event.type).label)


def sentence(event: SecurityEvent) -> str:
    """Return who did what to whom; reads ``actor`` and ``user`` of the event."""
    names = {
        "actor": person(event.actor),
        "user": person(event.user) or _("an unknown account"),
    }
    kind = _KINDS.get(event.type)
    if kind is None:  # a type that a later version has written
        return f"{event.type}: {names['user']}"
    text = kind.sentence
    if not names["actor"] and kind.without_actor is not None:
        text = kind.without_actor
    return str(text) % names


def person(user: Any) -> str:
    """Return the name of an account, isolated from the direction of the text around."""
    return f"\u2068{user.get_full_name()}\u2069" if user is not None else ""


def reason(event: SecurityEvent) -> str:
    """Return why it was done or refused; "" if no reason was recorded.

    A reason that staff wrote follows the one that Memora knows.
    """
    found = event.details
    parts = [_known_reason(event.type, found), found.get("note")]
    return ": ".join(str(part) for part in parts if part)


def _known_reason(kind: str, found: Mapping[str, Any]) -> str:
    why = str(found.get("reason") or "")
    if kind == Type.SESSION_ENDED:
        return str(dict(SessionEndReason.choices).get(why, why))
    if code := found.get("code"):
        return request_words.refusal(str(code))
    if by := found.get("by"):
        return str(_BY.get(by, by))
    return why


_REASONS = ("reason", "code", "by", "note")
"""Details that `reason` returns."""


def facts(event: SecurityEvent, names: Names) -> list[tuple[str, str]]:
    """Return the other details, each with its label, in the order of the record."""
    found = []
    for key, value in event.details.items():
        if key in _REASONS:
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


def _columns(value: Any, _names: Names) -> str:
    return _list(student_sheet.label(column) for column in value)


def _number(value: Any, _names: Names) -> str:
    return str(value)


def _signed(value: Any, _names: Names) -> str:
    """Return a number with its sign, which stays on its left in Arabic, too."""
    return f"\u2066{value:+d}\u2069" if isinstance(value, int) else str(value)


def _request(value: Any, _names: Names) -> str:
    return request_words.request(str(value))


def _filters(value: Any, _names: Names) -> str:
    return _list(str(_FILTERS.get(name, name)) for name in value)


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


def _named(change: Any, _names: Names) -> str:
    """Return ``+ added, − removed`` of a change that has names itself."""
    return _list(
        f"{'+' if what == 'added' else '−'} {name}"
        for what, named in change.items()
        for name in named
    )


_FILTERS: dict[str, Promise] = {
    "from": gettext_lazy("from a day"),
    "until": gettext_lazy("until a day"),
    "student": gettext_lazy("student"),
    "staff": gettext_lazy("staff member"),
    "type__exact": gettext_lazy("what"),
    "user__id__exact": gettext_lazy("account"),
    "q": gettext_lazy("search"),
}
"""The filters of the list of events, by their parameters."""

_FACTS: dict[str, tuple[Promise | str, Callable[[Any, Names], str]]] = {
    "plan": (gettext_lazy("plan"), _plan),
    "previous": (gettext_lazy("plan before"), _plan),
    "plan_id": (gettext_lazy("plan's id"), _number),
    "players": (gettext_lazy("players"), _as_is),
    "player": (gettext_lazy("player number"), _number),
    "item": (gettext_lazy("product code"), _number),
    "until": (gettext_lazy("until"), _until),
    "xp": (gettext_lazy("XP"), _signed),
    "freezes": (gettext_lazy("streak freezes"), _as_is),
    "node": (gettext_lazy("content"), _number),
    "lessons": (gettext_lazy("lessons"), _as_is),
    "endpoint": (gettext_lazy("request"), _request),
    "group": (gettext_lazy("group"), _group),
    "groups": (gettext_lazy("groups"), _change("groups")),
    "permissions": (gettext_lazy("permissions"), _change("permissions")),
    "classes": (gettext_lazy("classes"), _named),
    "deleted": (pgettext_lazy("a group of staff", "deleted"), _as_is),
    "is_staff": (gettext_lazy("may use the admin"), _as_is),
    "is_superuser": (gettext_lazy("has all rights"), _as_is),
    "replaced": (gettext_lazy("device before"), _number),
    "force": (gettext_lazy("all of them"), _as_is),
    "synced": (gettext_lazy("wallets"), _as_is),
    "events": (gettext_lazy("events"), _as_is),
    "filters": (gettext_lazy("filters"), _filters),
    "device_name": (gettext_lazy("device"), _number),
    "first": (gettext_lazy("the first device"), _as_is),
    "columns": (gettext_lazy("fields"), _columns),
}
"""For each detail: its label, and how its value is written."""

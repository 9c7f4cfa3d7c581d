"""The roles of staff, as groups with the permissions each needs and no more.

Made and brought up to date after every ``migrate``. A permission given to one of
these groups by hand is taken away again by the next: make a group of your own for it.
"""

from collections.abc import Iterable
from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions

SYSTEM_MANAGERS = "System Managers"
CONTENT_EDITORS = "Content Editors"
PUBLISHERS = "Publishers"
SUPPORT = "Support"

_ALL = ("view", "add", "change", "delete")
_VIEW = ("view",)

# The audit trail and the ledger refuse to be changed; nobody is offered it.
_APPEND_ONLY = {
    ("players", "securityevent"),
    ("players", "erasure"),
    ("progress", "interactionlog"),
}
_STANDS_FOR = {"erase": "delete", "export": "delete"}
"""Permissions of a model's own that need more than changing its rows."""

# Role -> (app, model or "*" for all of the app, actions).
_ROLES: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {
    SYSTEM_MANAGERS: [
        (app, "*", _ALL)
        for app in ("content", "plans", "publishing", "players", "progress")
    ],
    CONTENT_EDITORS: [("content", "*", _ALL), ("plans", "*", _VIEW)],
    PUBLISHERS: [
        ("plans", "*", _ALL),
        ("content", "*", _VIEW),
        ("publishing", "*", ("view", "change")),
    ],
    SUPPORT: [
        ("players", "*", _VIEW),
        # The player's page holds devices, enrolments and entitlements, and the
        # admin saves them only for who may change the page.
        ("players", "playerprofile", ("change",)),
        ("players", "device", _ALL),
        ("players", "enrollment", _ALL),
        ("players", "entitlement", _ALL),
        ("players", "session", ("change", "delete")),
        ("progress", "*", _VIEW),
    ],
}


def ensure(*, using: str, apps: Any) -> None:
    """Make the groups, each with exactly its permissions.

    Args:
        using: the database just migrated.
        apps: the app registry as of that migration; where users or permissions are
            not migrated yet, nothing happens.
    """
    try:
        group_model = apps.get_model("auth", "Group")
        permission_model = apps.get_model("auth", "Permission")
        for app in _apps():
            apps.get_app_config(app)
    except LookupError:
        return
    # Django makes an app's permissions when that app's turn comes, which for some
    # of ours is after this one's.
    for app in _apps():
        config = installed.get_app_config(app)
        create_permissions(
            config, verbosity=0, interactive=False, using=using, apps=apps
        )
    rows = permission_model.objects.using(using).filter(
        content_type__app_label__in=_apps()
    )
    known = [
        (pk, app, model, codename)
        for pk, app, model, codename in rows.values_list(
            "pk", "content_type__app_label", "content_type__model", "codename"
        )
    ]
    for role, grants in _ROLES.items():
        group, _created = group_model.objects.using(using).get_or_create(name=role)
        _give(group, set(_granted(grants, known)), using)


def _give(group: Any, granted: set[int], using: str) -> None:
    """Make these the group's permissions, by its table's own rows.

    ``permissions.set()`` would put a line about rights in the audit trail, as if
    staff had changed them.
    """
    rows = group.permissions.through.objects.using(using).filter(group_id=group.pk)
    held = set(rows.values_list("permission_id", flat=True))
    rows.filter(permission_id__in=held - granted).delete()
    rows.bulk_create(
        [rows.model(group_id=group.pk, permission_id=pk) for pk in granted - held]
    )


def _apps() -> list[str]:
    return sorted({app for grants in _ROLES.values() for app, _m, _a in grants})


def _granted(
    grants: Iterable[tuple[str, str, tuple[str, ...]]],
    known: Iterable[tuple[int, str, str, str]],
) -> list[int]:
    """The primary keys of the permissions these grants give.

    A permission of a model's own (``publish_…``) goes to who may change the model,
    unless `_STANDS_FOR` says otherwise.
    """
    granted = []
    for pk, app, model, codename in known:
        action = codename.removesuffix(f"_{model}")
        standard = action if action in _ALL else _STANDS_FOR.get(action, "change")
        if (app, model) in _APPEND_ONLY and standard != "view":
            continue
        if any(
            app == granted_app and granted_model in ("*", model) and standard in actions
            for granted_app, granted_model, actions in grants
        ):
            granted.append(pk)
    return granted

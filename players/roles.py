"""The roles of staff: groups, each with exactly the permissions it needs.

Every ``migrate`` creates and updates them, and removes permissions that were added to
these groups by hand: create your own group for those.
"""

from collections.abc import Iterable
from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions

SYSTEM_MANAGERS = "System Managers"
CONTENT_EDITORS = "Content Editors"
PUBLISHERS = "Publishers"
SUPPORT = "Support"
TEACHERS = "Teachers"
REGISTRARS = "Registrar"
REGISTRAR_VIEWERS = "Registrar viewer"

TEACH = "players.teach_studygroup"
"""The permission to see the own classes (`StudyGroup.teachers`), and nothing else."""

_ALL = ("view", "add", "change", "delete")
_VIEW = ("view",)

# The audit trail, the ledger and the log of ratings are append-only: no role may change
# them.
_APPEND_ONLY = {
    ("players", "securityevent"),
    ("players", "erasure"),
    ("progress", "interactionlog"),
    ("progress", "reviewrating"),
}
_STANDS_FOR = {"erase": "delete", "export": "delete", "teach": "teach"}
"""Custom permissions that "change" on the model does not include."""

# All that a viewer reads: not the accounts.
_REGISTRAR_TABLES = (
    *("student", "teacher", "program", "unit", "template", "registration", "payment"),
    *("schoolclass", "enrolment", "grade", "studentrequest", "moodlegrade"),
    *("conflict", "delivery", "hint", "effect", "peerstate", "requestwindow"),
    "unlinkedaccount",
    *("programaccess", "givenaccess", "studentaccount", "studentcard", "submission"),
)
_REGISTRAR: list[tuple[str, str, tuple[str, ...]]] = [
    ("registrar", "*", ("view", "replay")),
    ("registrar", "registrarsettings", ("change",)),
    ("registrar", "requestwindow", ("add", "change")),
    ("registrar", "programaccess", ("add", "change", "delete")),
    ("registrar", "studentaccount", ("add", "delete")),
    ("registrar", "studentcard", ("change",)),
]

# Role -> (app, model or "*" for all of the app, actions).
_ROLES: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {
    SYSTEM_MANAGERS: [
        *(
            (app, "*", _ALL)
            for app in ("content", "plans", "publishing", "players", "progress")
        ),
        # A copy of the CRM, where its records are changed.
        *_REGISTRAR,
        # The admin's own log has students' names.
        ("admin", "logentry", _VIEW),
    ],
    CONTENT_EDITORS: [
        ("content", "*", _ALL),
        ("plans", "*", _VIEW),
        # Figures of lessons, which name no student.
        ("progress", "lessonstatistics", _VIEW),
    ],
    PUBLISHERS: [
        ("plans", "*", _ALL),
        ("content", "*", _VIEW),
        ("publishing", "*", ("view", "change")),
    ],
    SUPPORT: [
        ("players", "*", _VIEW),
        # The player's page contains enrolments and entitlements, and the admin saves
        # them only if the user may change the page. "change" includes switching the
        # account off and resetting the password.
        ("players", "playerprofile", ("change",)),
        ("players", "playerwallet", ("correct", "give_freezes")),
        ("players", "device", _ALL),
        ("players", "enrollment", _ALL),
        ("players", "entitlement", _ALL),
        ("players", "studygroup", _ALL),
        ("players", "groupmember", _ALL),
        ("players", "session", ("delete",)),
        ("progress", "*", _VIEW),
        ("progress", "structureprogress", ("correct",)),
    ],
    REGISTRARS: _REGISTRAR,
    REGISTRAR_VIEWERS: [("registrar", table, _VIEW) for table in _REGISTRAR_TABLES],
    # Not "view": it would open the lists of all groups and students.
    TEACHERS: [("players", "studygroup", ("teach",))],
}


def ensure(*, using: str, apps: Any) -> None:
    """Create the groups, each with exactly its permissions.

    Args:
        using: the database that was just migrated.
        apps: the app registry of that migration; if users or permissions are not
            migrated yet, nothing happens.
    """
    try:
        group_model = apps.get_model("auth", "Group")
        permission_model = apps.get_model("auth", "Permission")
        for app in _apps():
            apps.get_app_config(app)
    except LookupError:
        return
    # Django creates an app's permissions after that app's migrations, so for some of
    # these apps after this call.
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
    """Replace the group's permissions in the through table.

    ``permissions.set()`` would add an audit row about rights, as if staff had changed
    them.
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
    """Return the primary keys of the permissions in these grants.

    A custom permission of a model (``publish_…``) is granted by its own name, and with
    "change" on the model, unless `_STANDS_FOR` names another action.
    """
    granted = []
    for pk, app, model, codename in known:
        action = codename.removesuffix(f"_{model}")
        standard = action if action in _ALL else _STANDS_FOR.get(action, "change")
        if (app, model) in _APPEND_ONLY and action in ("add", "change", "delete"):
            continue
        if any(
            app == granted_app
            and granted_model in ("*", model)
            and (standard in actions or action in actions)
            for granted_app, granted_model, actions in grants
        ):
            granted.append(pk)
    return granted

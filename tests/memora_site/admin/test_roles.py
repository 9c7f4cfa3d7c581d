"""Check every URL × role × method, and list × role × action, against docs/roles.md.

``make roles`` writes the table in docs/roles.md again; review it before you commit.
"""

import os
import re
from functools import wraps
from itertools import groupby
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.db import transaction
from django.http import HttpResponse
from django.urls import URLPattern, URLResolver, reverse

from content.models import MediaFile, Node
from memora_site import staff_api
from plans.models import AcademicPlan, ScheduledChange
from players import roles, urls as players_urls
from players.models import (
    GroupMember,
    PlayerProfile,
    StudentImport,
    StudyGroup,
    User,
)
from players.views import StaffViewSet
from progress import urls as progress_urls
from publishing.models import SyncLog, SyncStatus
from tests.memora_site.admin.test_every_page import world  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db

PAGE = Path(__file__).parents[3] / "docs" / "roles.md"
ROLES = (
    roles.CONTENT_EDITORS,
    roles.PUBLISHERS,
    roles.SUPPORT,
    roles.TEACHERS,
    roles.REGISTRARS,
    roles.REGISTRAR_VIEWERS,
    roles.SYSTEM_MANAGERS,
)
METHODS = ("GET", "POST")
OPEN_TO_ALL_STAFF = {
    # Django's own: sign-in, sign-out, own password, JavaScript catalogue.
    *("login", "logout", "password_change", "password_change_done", "jsi18n"),
    # Needs the model and field of the calling page, which it checks.
    *("autocomplete", "view_on_site"),
}
RAN = b"ran"
API_ARGUMENT = re.compile(r"\(\?P<(\w+)>[^)]*\)")
ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")
SEARCHED = re.compile(
    r'data-app-label="(\w+)"\s+data-model-name="(\w+)"\s+data-field-name="(\w+)"'
)
LABELS = re.compile(r"\(\?P<app_label>([^)]*)\)")


def addresses():
    """Return every admin URL pattern of ours with its name."""
    for entry in admin.site.urls[0]:
        yield from walk("", entry)


def walk(before, entry):
    pattern = before + str(entry.pattern).removeprefix("^").removesuffix("$")
    if isinstance(entry, URLResolver):
        for inner in entry.url_patterns:
            yield from walk(pattern, inner)
    elif isinstance(entry, URLPattern) and entry.name not in {None, *OPEN_TO_ALL_STAFF}:
        for label in labels_of(pattern):
            yield LABELS.sub(label, pattern), entry.name


def labels_of(pattern):
    found = LABELS.search(pattern)
    return found[1].split("|") if found else [""]


def lesson():
    return Node.objects.get(kind="lesson", title="Mathematics's lesson 1")


def example_of(name, argument):
    """Return a value with which the URL pattern can be requested."""
    match argument:
        case "peer":
            return "zoho"
        case "module":
            return "BTEC_Students"
        case "record_id":
            return "1"
        case "plan_pk":
            return AcademicPlan.objects.first().pk
        case "entry_pk":
            return ScheduledChange.objects.order_by("pk").first().pk
        case "group_pk":
            return StudyGroup.objects.order_by("pk").first().pk
        case "player_pk":
            return PlayerProfile.objects.order_by("pk").first().pk
        case "pk" if name in ("export_subject", "content_node_quality"):
            return lesson().subject_pk
        case "pk" if name.startswith("content_mediafile"):
            return MediaFile.objects.get().pk
        case "pk" if name.startswith("import_students"):
            return StudentImport.objects.get().pk
        case "pk" | "node_pk":
            return lesson().pk
        case "public_id":
            kind = name.rpartition("_")[2]
            if kind == "plan":
                return AcademicPlan.objects.first().public_id
            return Node.objects.filter(kind=kind).first().public_id
        case "kind":
            return "json"
        case "change":
            # The newest edit: restoring it changes nothing.
            edits = Node.history.filter(id=lesson().pk).order_by("-history_date")
            return edits.first().change
        case "id":
            return User.objects.order_by("pk").first().pk
        case "object_id" if name == "players_user_delete":
            # A staff account: a student's account is deleted with the student.
            return User.objects.filter(player=None).order_by("-pk").first().pk
        case "object_id":
            for model in admin.site._registry:
                prefix = f"{model._meta.app_label}_{model._meta.model_name}_"
                if name.startswith(prefix):
                    return model._default_manager.order_by("pk").first().pk
    raise AssertionError(f"{name}: give <{argument}> an example")


def data_of(name):
    """Return the data that a request must send beside its URL."""
    if name == "publishing_dashboard_retry":
        return {"entry": SyncLog.objects.get(status=SyncStatus.DEAD_LETTER).pk}
    return {}


def answer(browser, method, address, name):
    """Return the status of a request without data; roll back its changes."""
    path = ARGUMENT.sub(lambda found: str(example_of(name, found[1])), address)
    with transaction.atomic():
        response = browser.generic(
            method,
            f"/admin/{path}",
            urlencode(data_of(name)),
            content_type="application/x-www-form-urlencoded",
        )
        transaction.set_rollback(True)
    if response.status_code == 302 and "/login/" in response.url:
        return 403
    if response.status_code == 302 and response.url == reverse("admin:index"):
        return 404  # Django redirects so when the row does not exist
    return response.status_code


def allowed(browser, address, name):
    """Return the methods that the role may use: neither 403 nor 405."""
    answers = {method: answer(browser, method, address, name) for method in METHODS}
    refusals = {403, 405}
    if name == "app_list":
        refusals = {*refusals, 404}  # an app without models for this role
    else:
        # Django looks for the row before it checks permissions.
        assert 404 not in answers.values(), f"{name}: nothing is at its example"
    return " ".join(
        method for method, status in answers.items() if status not in refusals
    )


def actions():
    """Yield the model and the name of each changelist action."""
    for model, model_admin in admin.site._registry.items():
        for _function, name, _words in model_admin._get_base_actions():
            yield model, name


def runs(browser, model, action):
    """Return whether the changelist runs the action on a row; the action is a stub."""
    row = model._default_manager.order_by("pk").first()
    changelist = f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist"
    response = browser.post(
        reverse(changelist),
        {"action": action, "_selected_action": row.pk, "post": "yes"},
    )
    return response.content == RAN


@pytest.fixture
def only_asked(monkeypatch):
    """Replace every action by a stub that changes nothing."""
    real = admin.ModelAdmin._get_base_actions

    def instead(self):
        return [
            (wraps(function)(lambda *_args: HttpResponse(RAN)), name, words)
            for function, name, words in real(self)
        ]

    monkeypatch.setattr(admin.ModelAdmin, "_get_base_actions", instead)


@pytest.fixture
def browsers(client_of, staff, world):  # noqa: F811
    """A browser of each role; the teacher teaches the students of the first class."""
    users = {role: staff(role) for role in ROLES}
    group = StudyGroup.objects.order_by("pk").first()
    group.teachers.add(users[roles.TEACHERS])
    player = PlayerProfile.objects.order_by("pk").first()
    GroupMember.objects.get_or_create(group=group, player=player)
    return {role: client_of(user) for role, user in users.items()}


def table(browsers):
    """Return what each role may do, in the form of docs/roles.md."""
    lines = []
    for app, found in groupby(sorted(set(addresses())), key=section_of):
        head = " | ".join(ROLES)
        lines += ["", f"### {app}", "", f"| Address | {head} |"]
        lines.append("|---" * (len(ROLES) + 1) + "|")
        for address, name in found:
            cells = [
                allowed(browser, address, name) or "–" for browser in browsers.values()
            ]
            shown = f"`/admin/{address}`".replace("|", r"\|")
            lines.append(f"| {shown} | {' | '.join(cells)} |")
    lines += ["", "### Actions on chosen rows of a list", ""]
    lines.append(f"| List | Action | {' | '.join(ROLES)} |")
    lines.append("|---" * (len(ROLES) + 2) + "|")
    for model, action in sorted(actions(), key=lambda found: str(found[0]._meta)):
        cells = [
            "yes" if runs(browser, model, action) else "–"
            for browser in browsers.values()
        ]
        lines.append(f"| {model._meta} | `{action}` | {' | '.join(cells)} |")
    lines += ["", "### The staff API", "", f"| Address | {head} |"]
    lines.append("|---" * (len(ROLES) + 1) + "|")
    for address, methods in sorted(staff_endpoints().items()):
        cells = [
            " ".join(one for one in methods if asks(browser, one, address) != 403)
            or "–"
            for browser in browsers.values()
        ]
        lines.append(f"| `/api/v1/{address}` | {' | '.join(cells)} |")
    return "\n".join(lines).strip()


def staff_endpoints():
    """Return the addresses of the staff API with their methods."""
    found = {}
    for entry in [
        *players_urls.urlpatterns,
        *progress_urls.router.urls,
        *staff_api.router.urls,
    ]:
        actions = getattr(getattr(entry, "callback", None), "actions", {})
        if issubclass(getattr(entry.callback, "cls", object), StaffViewSet):
            address = str(entry.pattern).removeprefix("^").removesuffix("$")
            address = API_ARGUMENT.sub(r"<\1>", address)
            methods = found.setdefault(address, [])
            methods += [method.upper() for method in actions if method != "head"]
    return {address: sorted(methods) for address, methods in found.items()}


def asks(browser, method, address):
    """Return the status of a request with an empty body; roll back its changes."""
    player = PlayerProfile.objects.order_by("pk").first()
    path = f"/api/v1/{address}".replace("<pk>", str(player.pk))
    with transaction.atomic():
        response = browser.generic(method, path, b"{}", "application/json")
        transaction.set_rollback(True)
    return response.status_code


def section_of(found):
    app = found[0].partition("/")[0]
    return app or "home"


def test_the_page_on_roles_says_what_each_may_do(browsers, only_asked):
    before, mark, _written = PAGE.read_text().partition("<!-- walked -->\n")
    walked = f"{before}{mark}\n{table(browsers)}\n"
    if os.environ.get("MEMORA_WRITE_ROLES"):
        PAGE.write_text(walked)
    differing = set(PAGE.read_text().split("\n")) ^ set(walked.split("\n"))
    assert not differing, "make roles writes it anew; read what changes:\n" + "\n".join(
        sorted(differing)
    )


def test_every_field_with_a_search_finds_something_for_who_may_edit_it(browsers):
    asked = set()
    for role, browser in browsers.items():
        for model in admin.site._registry:
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            row = model._default_manager.order_by("pk").first()
            for url in (
                reverse(f"{name}_add"),
                reverse(f"{name}_change", args=[row.pk if row else 0]),
            ):
                page = browser.get(url)
                for app, of, field in SEARCHED.findall(page.content.decode()):
                    query = {"app_label": app, "model_name": of, "field_name": field}
                    found = browser.get(reverse("admin:autocomplete"), query)
                    assert found.status_code == 200, (role, url, field)
                    asked.add((role, of, field))
    assert (roles.SUPPORT, "groupmember", "player") in asked


def test_nobody_else_gets_past_the_door(client, player, client_of, world):  # noqa: F811
    student = client_of(player.user)
    for address, name in addresses():
        for method in METHODS:
            assert answer(client, method, address, name) == 403, (method, address)
            assert answer(student, method, address, name) == 403, (method, address)


def test_an_editors_bare_request_changes_nothing(client_of, editor, world):  # noqa: F811
    browser = client_of(editor)
    before = list(Node.objects.order_by("pk").values())
    for address, name in addresses():
        if address.startswith("content/"):
            for method in METHODS:
                answer(browser, method, address, name)
    assert list(Node.objects.order_by("pk").values()) == before

"""Values that no admin page sends never cause a server error."""

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from content import products
from plans.models import AcademicPlan
from players.forms import EntitlementForm
from players.models import Entitlement
from progress.models import InteractionLog
from publishing.models import SyncLog
from tests.memora_site.admin.test_every_page import url, world  # noqa: F401

pytestmark = pytest.mark.django_db

HOSTILE = {
    "30 digits": "9" * 30,
    "4,400 digits": "9" * 4400,
    "19 digits": "9" * 19,
    "Arabic digits": "٣٣",
    "digits that are no decimals": "²",
    "null byte": "1\x00",
    "negative": "-1",
    "infinity": "1e400",
    "not a number": "nan",
    "an emoji": "😀",
}
"""Values that replace a number, a key or a word."""
READ = {
    "content/node/": "at kind open p q state subject view",
    "content/node/add/": "parent stages",
    "content/node/{node}/change/": "stages _changelist_filters",
    "content/node/{node}/history/": "page",
    "content/node/places/": "kind near q",
    "content/node/rows/": "open roots view",
    "content/node/rows/{node}/": "start view",
    "autocomplete/": "app_label field_name model_name p page subjects term",
    "plans/academicplan/{plan}/content/": "at open",
    "plans/academicplan/{plan}/content/{node}/": "at open",
    "plans/academicplan/{plan}/history/": "page",
    "plans/scheduledchange/add/": "node plan",
    "preview/lesson/{lesson}/": "plan state",
    "preview/lesson/{lesson}/app/": "plan state",
    "upload/watch/": "source",
    "login/": "next",
}
"""The query parameters that each page of ours reads."""
SENT = {
    "content/node/quick-add/": {
        "beside": {"side": "left", "kind": "lesson", "title": "A"},
        "parent": {"kind": "lesson", "title": "A"},
        "title": {"kind": "subject"},
    },
    "content/node/move/": {
        "nodes": {"target": "{node}", "position": "left"},
        "target": {"nodes": "{node}", "position": "left"},
    },
    "content/node/copy/": {"nodes": {}, "target": {"nodes": "{node}"}},
    "content/node/do/": {
        "nodes": {"do": "publish"},
        "value": {"do": "rename", "nodes": "{node}"},
    },
    "content/node/undo/": {"record": {}},
    "content/exchange/curriculum/": {"upload": {}, "shown": {}},
    "content/exchange/sheet/": {"upload": {}, "shown": {}},
    "plans/academicplan/{plan}/content/{node}/": {"value": {}, "action": {}, "do": {}},
    "plans/academicplan/{plan}/generations/": {"generation": {}},
    "plans/scheduledchange/add/?node={node}": {
        "due_at": {"change": "publish"},
        "change": {"due_at": "2030-01-01T00:00"},
    },
    "publishing/dashboard/retry/": {"entry": {}},
    "login/": {"username": {"password": "A"}, "password": {"username": "a@b.example"}},
}
"""The fields that each view of ours takes, with the other fields it requires."""
_PART = re.compile(r"\(\?P<(\w+)>[^)]*\)|<(?:\w+:)?(\w+)>")


def addresses(
    patterns: list[URLPattern | URLResolver], before: str = ""
) -> Iterator[str]:
    """Return every admin URL, with ``<name>`` in place of each value."""
    for pattern in patterns:
        here = before + str(pattern.pattern).lstrip("^").rstrip("$").replace("\\Z", "")
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, here)
        else:
            yield _PART.sub("<value>", here)


_ALIKE = re.compile(
    r"(auth|plans/grade|plans/season|plans/stream|progress|publishing)/"
)
ADDRESSES = sorted(
    address
    for address in addresses(get_resolver().url_patterns)
    if address.startswith("admin/")
    and "<value>" in address
    and not _ALIKE.match(address.removeprefix("admin/"))
)
"""The URLs of one model only: Django handles those of all models alike."""


@pytest.fixture
def root(browser, world) -> Client:  # noqa: F811
    """A superuser's browser; a server error becomes a status."""
    browser.raise_request_exception = False
    return browser


@pytest.fixture
def places(maths, plan) -> dict[str, object]:
    """The objects that the URLs below refer to."""
    return {
        "node": maths["topic"].pk,
        "lesson": maths["lesson"].public_id,
        "plan": plan.pk,
    }


def failed(root: Client, asked: list[tuple[str, str, dict[str, str]]]) -> list[str]:
    """Return the requests that were answered with a server error."""
    return [
        f"{method} {address[:80]} {sorted(data)}"
        for method, address, data in asked
        if getattr(root, method)(address, data).status_code >= 500
    ]


@pytest.mark.parametrize("until", ["0001-01-01 00:00", "9999-12-31 23:59"])
@pytest.mark.parametrize("zone", ["Asia/Riyadh", "America/New_York"])
def test_an_entitlement_ends_at_a_time_that_can_be_stored(player, zone, until):
    products.ensure(["MATHS-5"])
    with timezone.override(zone):
        form = EntitlementForm(
            {"item": "MATHS-5", "valid_until": until},
            instance=Entitlement(player=player),
        )
        assert list(form.errors) == ["valid_until"]


def test_every_address_was_found():
    assert len(ADDRESSES) > 30


@pytest.mark.parametrize("name", ["30 digits", "4,400 digits", "negative"])
def test_a_hostile_value_in_an_address_is_no_error(root, name):
    value = HOSTILE[name]
    asked = [("get", "/" + a.replace("<value>", value), {}) for a in ADDRESSES]
    assert failed(root, asked) == []


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_value_in_a_query_is_no_error(root, places, value):
    asked = [
        ("get", f"/admin/{page.format(**places)}", {name: value})
        for page, names in READ.items()
        for name in names.split()
    ]
    assert failed(root, asked) == []


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_value_in_a_form_is_no_error(root, places, value):
    asked = [
        (
            "post",
            f"/admin/{page.format(**places)}",
            {key: other.format(**places) for key, other in others.items()}
            | {name: value},
        )
        for page, fields in SENT.items()
        for name, others in fields.items()
    ]
    assert failed(root, asked) == []


@pytest.mark.parametrize("name", ["30 digits", "4,400 digits", "negative"])
def test_a_hostile_filter_of_a_list_is_no_error(root, name):
    """Every changelist runs the same code, so three of them are enough."""
    asked = [
        ("get", url(model, "changelist"), {parameter: HOSTILE[name]})
        for model, time in (
            (SyncLog, "created_at"),
            (InteractionLog, "received_at"),
            (AcademicPlan, "updated_at"),
        )
        for parameter in ("p", "o", "pk__in", f"{time}__year", f"{time}__gte")
    ]
    assert failed(root, asked) == []

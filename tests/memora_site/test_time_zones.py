"""No query needs the database's own time-zone tables, which MariaDB may lack."""

import ast

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from memora_site import checks
from players.models import User
from publishing.models import SyncLog
from tests.memora_site.test_patterns import SOURCES, syntax_tree

CONVERTED = ("Trunc", "Extract")
"""Prefixes of the names of functions that convert times in the database."""


def test_no_list_of_the_admin_groups_rows_by_local_dates():
    assert not [
        model.__name__
        for model, model_admin in admin.site._registry.items()
        if model_admin.date_hierarchy
    ]


def test_no_query_converts_times_to_a_zone_but_utc():
    for path in SOURCES:
        for node in ast.walk(syntax_tree(path)):
            if isinstance(node, ast.Call):
                assert not conversions(node), f"{path}: {ast.unparse(node)}"


def conversions(call: ast.Call) -> list[str]:
    """The parts of a call for which the database converts times to the local zone."""
    name = ast.unparse(call.func).rpartition(".")[2]
    words = {word.arg or "": ast.unparse(word.value) for word in call.keywords}
    found = [word for word in words if word.endswith(("__date", "__day", "__month"))]
    if name.startswith(CONVERTED) and words.get("tzinfo") != "UTC":
        found.append(name)
    if name in ("datetimes", "dates"):
        found.append(name)
    return found


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("TruncHour('x')", 1),
        ("TruncHour('x', tzinfo=UTC)", 0),
        ("rows.filter(at__date=day)", 1),
        ("rows.datetimes('at', 'day')", 1),
        ("rows.filter(at__gte=day)", 0),
    ],
)
def test_conversions_are_found(code, count):
    assert len(conversions(ast.parse(code, mode="eval").body)) == count


@pytest.mark.django_db
def test_the_log_of_runs_opens_in_any_time_zone(settings, client: Client):
    settings.TIME_ZONE = "Asia/Riyadh"
    client.force_login(User.objects.create_superuser("a@example.org", "p"))
    SyncLog.objects.create(
        plan_public_id="PLAN-A", trigger="admin", created_at=timezone.now()
    )
    with timezone.override("Asia/Riyadh"):
        page = client.get(reverse("admin:publishing_synclog_changelist"))
    assert page.status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("answer", [None, "2026-01-01 03:00:00"])
def test_a_database_without_time_zones_is_told_what_to_type(
    settings, monkeypatch, answer
):
    settings.TIME_ZONE = "Asia/Riyadh"

    class Cursor:
        def __enter__(self):
            return self

        def __exit__(self, *_error):
            pass

        def execute(self, _sql, parameters):
            assert parameters == ["Asia/Riyadh"]

        def fetchone(self):
            return (answer,)

    monkeypatch.setattr(connection, "vendor", "mysql")
    monkeypatch.setattr(connection, "cursor", Cursor)
    found = checks.check_database_time_zones(databases=["default"])
    assert [message.id for message in found] == ([] if answer else ["memora.W004"])
    assert all("mariadb-tzinfo-to-sql" in message.hint for message in found)


@pytest.mark.django_db
@pytest.mark.mariadb
def test_a_real_mariadb_is_asked(settings):
    settings.TIME_ZONE = "Nowhere/At_All"
    [message] = checks.check_database_time_zones(databases=["default"])
    assert message.id == "memora.W004"


def test_utc_needs_no_tables():
    assert checks.check_database_time_zones(databases=["default"]) == []

"""The metrics for Prometheus, and who may read them."""

import os

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from prometheus_client.parser import text_string_to_metric_families

from content.models import LessonStage
from plans.models import AcademicPlan
from plans.services import add_subject
from publishing import queue
from publishing.building import builds
from publishing.monitoring import dashboard
from tests.factories.content import make_subject

pytestmark = pytest.mark.django_db


def scrape(client, **headers) -> dict:
    """Each sample's value by its name and labels' values."""
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def break_lesson(name: str) -> None:
    LessonStage.objects.filter(public_id=f"STG-{name}-0-0").update(title="")


def test_the_metrics_tell_what_the_dashboard_shows(client, plan):
    builds.publish_plan(plan.pk)
    break_lesson("MATH")
    builds.publish_plan(plan.pk)
    queue.record_beat_heartbeat(1_700_000_000)
    found = scrape(client)
    facts = dashboard.load()
    (row,) = facts.plans
    assert found[("memora_up", "database")] == 1
    assert found[("memora_up", "redis")] == 1
    assert found[("memora_up", "disk")] == 1
    assert found[("memora_up", "worker")] == 0
    assert found[("memora_up", "beat")] == 0
    assert found[("memora_worker_heartbeat_timestamp_seconds",)] == 1_700_000_000
    assert found[("memora_beat_heartbeat_timestamp_seconds",)] == 1_700_000_000
    assert found[("memora_publishing_waiting_plans",)] == 1
    assert found[("memora_publishing_retrying_plans",)] == 1
    assert found[("memora_publishing_dead_letters",)] == 0
    assert found[("memora_publishing_builds_last_day", "published")] == 1
    assert found[("memora_publishing_builds_last_day", "retrying")] == 1
    assert found[("memora_publishing_plan_generation", "PLAN-A")] == 1
    assert found[("memora_publishing_plan_files", "PLAN-A")] == row.size.files
    assert found[("memora_publishing_plan_bytes", "PLAN-A")] == row.size.bytes
    assert found[("memora_publishing_plan_state", "PLAN-A", "retrying")] == 1
    assert found[("memora_publishing_lesson_files",)] == 4
    assert found[("memora_publishing_disk_pause_ratio",)] == 0.1
    assert found[("memora_publishing_open_alerts", "dead_letter")] == 0


def test_a_plan_never_built_has_no_duration(client, plan):
    found = scrape(client)
    assert ("memora_publishing_plan_build_duration_seconds", "PLAN-A") not in found
    assert ("memora_publishing_health_faults",) not in found


def test_a_scrape_asks_the_same_however_many_plans_there_are(client, plan):
    break_lesson("MATH")
    builds.publish_plan(plan.pk)
    with CaptureQueriesContext(connection) as one:
        scrape(client)
    for name in ("S1", "S2"):
        other = AcademicPlan.objects.create(title=name, is_published=True)
        add_subject(plan=other, subject=make_subject(name))
        break_lesson(name)
        builds.publish_plan(other.pk)
    with CaptureQueriesContext(connection) as many:
        scrape(client)
    with CaptureQueriesContext(connection) as looked:
        dashboard.load()
    # The data of the metrics only: no session, no user. Beside the dashboard's data:
    # players, their sessions and refused sign-ins, the accounts of the registrar.
    assert len(one) == len(many) == len(looked) + 4


def test_without_redis_the_rest_is_told(client, plan, settings):
    builds.publish_plan(plan.pk)
    settings.REDIS_URL = "unix:///nonexistent/redis.sock"
    found = scrape(client)
    assert found[("memora_up", "redis")] == 0
    assert found[("memora_up", "worker")] == 0
    assert found[("memora_publishing_plan_generation", "PLAN-A")] == 1


def test_without_the_database_a_scrape_says_so(client, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise OperationalError(2002, "Can't connect")

    monkeypatch.setattr("django.db.models.sql.compiler.SQLCompiler.execute_sql", refuse)
    found = scrape(client)
    found.pop(("memora_log_lines_dropped_total", str(os.getpid())))
    assert found == {("memora_up", "database"): 0, ("memora_up", "redis"): 1}


def test_a_disk_that_cannot_be_read_is_down(client, plan, monkeypatch):
    def refuse(_folder):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("publishing.monitoring.dashboard.shutil.disk_usage", refuse)
    found = scrape(client)
    assert found[("memora_up", "disk")] == 0
    assert ("memora_publishing_disk_free_bytes",) not in found


# --- Permissions ----------------------------------------------------------------------


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_this_machine_may_ask(client, address):
    assert client.get("/metrics", REMOTE_ADDR=address).status_code == 200


@pytest.mark.parametrize("address", ["10.0.0.7", "203.0.113.9", "2001:db8::1", ""])
def test_nobody_else_may(client, address):
    answer = client.get("/metrics", REMOTE_ADDR=address)
    assert answer.status_code == 403
    assert b"memora_up" not in answer.content


@pytest.mark.parametrize(
    "header",
    ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP"],
)
def test_what_came_through_a_proxy_is_not_from_this_machine(client, header):
    answer = client.get("/metrics", headers={header: "127.0.0.1"})
    assert answer.status_code == 403


def test_with_a_token_only_the_token_counts(client, settings):
    settings.METRICS_TOKEN = "a-token-of-metrics"
    for refused in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic a-token-of-metrics"},
        {"Authorization": "a-token-of-metrics"},
        {"Authorization": "Bearer غ"},
    ):
        answer = client.get("/metrics", headers=refused)
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"] == "Bearer"
    answer = client.get(
        "/metrics",
        headers={"Authorization": "Bearer a-token-of-metrics"},
        REMOTE_ADDR="203.0.113.9",
    )
    assert answer.status_code == 200


def test_metrics_are_only_read(client):
    assert client.post("/metrics").status_code == 405

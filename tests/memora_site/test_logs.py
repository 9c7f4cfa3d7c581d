"""Logs are structured and tell no secrets."""

import io
import json
import logging
import logging.config

import pytest
import structlog
from django.test import Client

from memora_site import logs


@pytest.fixture
def lines(settings):
    """What the site logs in production while the test runs, parsed, on call."""
    config = logs.logging_config(json=True, level="INFO")
    written = io.StringIO()
    config["handlers"]["stderr"]["stream"] = written
    logging.config.dictConfig(config)
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    logging.config.dictConfig(settings.LOGGING)


@pytest.mark.parametrize(
    "name", ["Authorization", "token_sha256", "new_password", "SECRET_KEY", "email"]
)
def test_a_secret_key_is_emptied(name: str):
    assert logs.without_secrets({name: "hunter2", "player": 42}) == {
        name: "[removed]",
        "player": 42,
    }


def test_secrets_are_found_deep_inside():
    event = {"request": {"headers": [{"authorization": "Bearer 42.abc"}]}}

    assert "abc" not in str(logs.without_secrets(event))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("sent Bearer 42.s3cr3t-x_y", "sent Bearer [removed]"),
        ("GET /f.json?expires=17&token=abc", "GET /f.json?expires=17&token=[removed]"),
        ("GET /?password=a+b&page=2", "GET /?password=[removed]&page=2"),
        ("{'token': 'abc', 'n': 1}", "{'token': '[removed]', 'n': 1}"),
        ("redis://:hunter2@cache:6379/0", "redis://[removed]@cache:6379/0"),
        ("no user sara.k@example.org here", "no user [removed] here"),
        ("GET /?q=sara%40example.org", "GET /?q=[removed]"),
        ("lesson LES-7K3M9QX2VB completed", "lesson LES-7K3M9QX2VB completed"),
    ],
)
def test_secrets_are_taken_out_of_texts(text: str, clean: str):
    assert logs.without_secrets(text) == clean


def test_an_event_is_one_json_line_with_its_fields(lines):
    structlog.get_logger("publishing.building.builds").info(
        "plan_published", plan="PLAN-1"
    )

    [line] = lines()
    assert line["event"] == "plan_published"
    assert line["plan"] == "PLAN-1"
    assert line["level"] == "info"
    assert line["logger"] == "publishing.building.builds"
    assert line["timestamp"].endswith("Z")


def test_an_exception_is_told_without_its_secrets(lines):
    try:
        raise ValueError("cannot reach redis://:hunter2@cache:6379/0")
    except ValueError:
        logging.getLogger("somewhere").exception("failed for %s", "a@example.org")

    [line] = lines()
    assert "ValueError" in line["exception"]
    assert "hunter2" not in json.dumps(line)
    assert line["event"] == "failed for [removed]"


def test_a_request_is_logged_under_one_id_without_its_token(lines, client: Client):
    client.get("/healthz?token=abc123", headers={"Authorization": "Bearer 42.hunter2"})

    events = lines()
    assert [line["event"] for line in events] == ["request_started", "request_finished"]
    assert len({line["request_id"] for line in events}) == 1
    assert "abc123" not in json.dumps(events)
    assert "hunter2" not in json.dumps(events)
    assert "127.0.0.1" not in json.dumps(events)

"""Logs are structured and contain no secrets."""

import io
import json
import logging
import logging.config
import time

import pytest
import structlog
from django.test import Client

from memora_site import logs


@pytest.fixture
def lines(settings):
    """Log as in production; return a function that returns the parsed lines."""
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
    assert logs.redact({name: "hunter2", "player": 42}) == {
        name: "[removed]",
        "player": 42,
    }


def test_secrets_are_found_deep_inside():
    event = {"request": {"headers": [{"authorization": "Bearer 42.abc"}]}}

    assert "abc" not in str(logs.redact(event))


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("sent Bearer 42.s3cr3t-x_y", "sent Bearer [removed]"),
        ("GET /f.json?expires=17&token=abc", "GET /f.json?expires=17&token=[removed]"),
        ("sent Zoho-oauthtoken abc.def", "sent Zoho-oauthtoken [removed]"),
        (f"got 1000.{'0a' * 16}.{'1F' * 16}, once", "got [removed], once"),
        ("POST wstoken=0a1b2c&wsfunction=f", "POST wstoken=[removed]&wsfunction=f"),
        ("GET /?password=a+b&page=2", "GET /?password=[removed]&page=2"),
        ("{'token': 'abc', 'n': 1}", "{'token': '[removed]', 'n': 1}"),
        ("redis://:hunter2@cache:6379/0", "redis://[removed]@cache:6379/0"),
        ("no user sara.k@example.org here", "no user [removed] here"),
        ("GET /?e=sara%40example.org", "GET /?e=[removed]"),
        ("GET /?q=Sara+Karim&p=2", "GET /?q=[removed]&p=2"),
        ("lesson LES-7K3M9QX2VB completed", "lesson LES-7K3M9QX2VB completed"),
    ],
)
def test_secrets_are_taken_out_of_texts(text: str, clean: str):
    assert logs.redact(text) == clean


@pytest.mark.parametrize(
    "text",
    [
        '{"password": "correct hunter2 battery"}',
        '{\\"password\\": \\"hunter2\\"}',
        '{"password": "a\\"hunter2"}',
        """{'Cookie': 'a="1"; sessionid="hunter2"'}""",
        "a-" * 500 + "token=hunter2",
        "tokentokentoken-token=hunter2",
        "a%40b%40hunter2.example.org",
        "x%2Bhunter2%40example.org",
        "a" * 500 + "hunter2@example.org",
        "password = hunter2",
        "secret_key: hunter2",
        "Cookie: sessionid=hunter2; csrftoken=hunter2",
        "Authorization: Token hunter2",
        "Authorization: Digest username=a, response=hunter2",
        "GET /admin/login/?next=%2Fx%3Ftoken%3Dhunter2",
        "https://bucket.example/v.mp4?X-Amz-Credential=hunter2%2F20260101",
        "mysql://memora:p@hunter2@db:3306/memora",
        "https://hunter2@o1.ingest.example/7",
        "hunter2@example.org",
        "Basic hunter2",
        '{"refresh_token": "1000.hunter2"}',
        "refresh_token=1000.hunter2&client_secret=hunter2&grant_type=refresh_token",
        "{'Authorization': 'Zoho-oauthtoken hunter2'}",
        f"GET 42.{'x' * 36}hunter2",
    ],
)
def test_no_part_of_a_secret_is_left(text: str):
    assert "hunter2" not in logs.redact(f"before {text} after")


class _Message:
    """Any object that becomes text only in ``str()``, such as a lazy translation."""

    def __str__(self) -> str:
        return "no user hunter2@example.org"


@pytest.mark.parametrize(
    "value",
    [
        _Message(),
        ValueError("hunter2@example.org"),
        b"token=hunter2",
        {"hunter2@example.org"},
        {"hunter2@example.org": 1},
    ],
)
def test_values_that_are_no_texts_are_cleaned_too(value):
    assert "hunter2" not in str(logs.redact({"value": value}))


@pytest.mark.parametrize("value", [None, True, 7, 1.5])
def test_numbers_stay_numbers(value):
    assert logs.redact({"value": value}) == {"value": value}


@pytest.mark.parametrize("secret", ["token=hunter2hunter2", "hunter2hunter2@a.example"])
@pytest.mark.parametrize("length", range(-40, 41, 3))
def test_a_text_that_is_cut_keeps_no_part_of_a_secret(secret: str, length: int):
    filler = "x " * (logs.MAX_TEXT // 2 + logs.MARGIN)
    for place in (logs.MAX_TEXT, logs.MAX_TEXT + logs.MARGIN):
        start = place + length
        clean = logs.redact(filler[:start] + f" {secret} " + filler)
        assert "hunt" not in clean
        assert len(clean) < logs.MAX_TEXT + logs.MARGIN


def test_a_secret_at_the_end_of_a_long_line_is_removed():
    clean = logs.redact("a-" * 4096 + " token=hunter2")
    assert clean == "a-" * 4096 + " token=[removed]"


WORST = {
    "words with dashes": "a-",
    "one word": "a",
    "addresses without a host": "a@",
    "escaped addresses": "a%40",
    "dots": "a@b.",
    "schemes": "a://",
    "schemes with a user": "a://b:",
    "keys": "token-",
    "keys with spaces": "token  ",
    "open quotes": "token='",
    "backslashes": "token\\\\",
    "equal signs": "token=%3D",
    "bearers": "Bearer ",
    "cookies": "cookie:",
    "quotes": "\"'",
    "spaces": " ",
    "percent signs": "%",
    "searches": "?q=",
    "digits": "1",
    "digits and dots": "1.",
}


def _work(text: str) -> float:
    """Processor time for ``text``: the minimum of several runs."""
    times = []
    for _run in range(7):
        start = time.process_time()
        for pattern, replacement in logs.SECRET_TEXT:
            pattern.sub(replacement, text)
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize("unit", WORST.values(), ids=WORST)
def test_the_work_grows_with_the_length_of_the_text_not_its_square(unit: str):
    """8 times the text takes 8 times the work; quadratic work would be 64 times."""
    short, long = 4_096, 32_768
    ratio = _work(unit * (long // len(unit))) / _work(unit * (short // len(unit)))
    assert ratio < 24


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


def test_the_requests_of_httpx_are_not_logged(lines):
    for name in ("httpx", "httpcore.http11"):
        logging.getLogger(name).info("HTTP Request: GET https://crm.example/?a=b")

    assert lines() == []


def test_a_request_is_logged_under_one_id_without_its_token(lines, client: Client):
    client.get("/healthz?token=abc123", headers={"Authorization": "Bearer 42.hunter2"})

    events = lines()
    assert [line["event"] for line in events] == ["request_started", "request_finished"]
    assert len({line["request_id"] for line in events}) == 1
    assert "abc123" not in json.dumps(events)
    assert "hunter2" not in json.dumps(events)
    assert "127.0.0.1" not in json.dumps(events)

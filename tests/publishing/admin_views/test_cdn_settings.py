"""The CDN in the admin and the staff's API: secrets can be set but never read."""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from io import StringIO
from typing import ClassVar

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import connection as database
from django.test import Client

from core import secrets
from players import roles
from players.models import User
from publishing.building import builds
from publishing.cdn import connection
from publishing.cdn.backends import s3 as s3_buckets
from publishing.models import PublishingSettings
from tests.publishing.fake_s3 import KEY_ID, PRIVATE, PUBLIC, SECRET, TOKEN, turn_on

pytestmark = pytest.mark.django_db

PAGE = "/admin/publishing/publishingsettings/"
TEST = f"{PAGE}test-connection/"
API = "/api/v1/admin/publishing/test-connection/"


def person(role: str) -> User:
    user = User.objects.create_user(
        f"{role.split()[0].lower()}@example.com", "staff-password-1", is_staff=True
    )
    user.groups.add(Group.objects.get(name=role))
    return user


@pytest.fixture
def manager() -> Client:
    browser = Client()
    browser.force_login(person(roles.SYSTEM_MANAGERS))
    return browser


def form(page, **changes) -> dict[str, str]:
    """What the browser would send for the page, with these fields filled in."""
    fields = page.context["adminform"].form
    sent = {
        name: fields[name].value()
        for name in fields.fields
        if fields[name].value() not in (None, False)
    }
    return {**sent, **changes}


# --- Secrets --------------------------------------------------------------------------


def test_a_secret_entered_is_stored_encrypted(manager):
    page = manager.get(PAGE)
    sent = form(page, cdn_secret_key=SECRET, cdn_access_key=KEY_ID)
    answer = manager.post(PAGE, sent)
    assert answer.status_code == 302, answer.context["errors"]
    stored = PublishingSettings.get_solo()
    assert SECRET not in stored.cdn_secret_key
    assert KEY_ID not in stored.cdn_access_key
    assert stored.secret("cdn_secret_key") == SECRET
    assert stored.secret("cdn_access_key") == KEY_ID


def test_a_secret_is_never_shown_not_even_encrypted(manager, purges):
    current = turn_on("https://s3.example.org", **purges.fields())
    html = manager.get(PAGE).content.decode()
    for name in PublishingSettings.SECRETS:
        assert f'name="{name}"' in html
        assert getattr(current, name) not in html
    for plain in (KEY_ID, SECRET, TOKEN):
        assert plain not in html
    assert "leave empty to keep it" in html


def test_a_secret_left_empty_is_kept(manager):
    turn_on("https://s3.example.org")
    answer = manager.post(PAGE, form(manager.get(PAGE), batch_threshold="7"))
    assert answer.status_code == 302, answer.context["errors"]
    stored = PublishingSettings.get_solo()
    assert stored.batch_threshold == 7
    assert stored.secret("cdn_secret_key") == SECRET


def test_secrets_can_be_forgotten(manager):
    turn_on("https://s3.example.org")
    sent = form(manager.get(PAGE), forget_secrets="on")
    del sent["cdn_enabled"]
    assert manager.post(PAGE, sent).status_code == 302
    assert PublishingSettings.get_solo().cdn_secret_key == ""
    assert PublishingSettings.get_solo().cdn_access_key == ""


def test_production_without_a_key_refuses_to_store_a_secret(manager, settings):
    page = manager.get(PAGE)
    settings.PRODUCTION = True
    answer = manager.post(PAGE, form(page, cdn_secret_key=SECRET))
    assert answer.status_code == 200
    assert "MEMORA_SECRETS_KEYS" in answer.content.decode()
    assert SECRET not in answer.content.decode()
    assert PublishingSettings.get_solo().cdn_secret_key == ""


def test_no_history_names_a_secret(manager):
    manager.post(PAGE, form(manager.get(PAGE), cdn_secret_key=SECRET))
    html = manager.get("/admin/publishing/publishingsettings/history/").content.decode()
    assert SECRET not in html


@pytest.mark.parametrize(
    "fields",
    [
        {"cdn_bucket": ""},
        {"cdn_access_key": ""},
        {"cdn_private_bucket": PUBLIC},
        {"cdn_endpoint": "https://user:password@s3.example.org"},
        {"cdn_base_url": "https://cdn.example.org/?a=b"},
        {"cloudflare_zone": "z" * 32},
        {"cdn_endpoint": "", "cdn_region": "auto"},
        {"cdn_endpoint": "", "cdn_region": "auto", "cdn_enabled": False},
    ],
)
def test_a_cdn_that_cannot_work_is_refused_in_words(fields):
    with pytest.raises(ValidationError) as refused:
        turn_on("https://s3.example.org", **fields)
    assert set(refused.value.message_dict) & {*fields, "cloudflare_token"}


# --- Test connection ------------------------------------------------------------------


@pytest.fixture
def reachable(s3, wire):
    """A CDN whose base URL leads to the public bucket, as a custom domain does."""
    s3.client.put_bucket_policy(Bucket=PUBLIC, Policy=_policy(PUBLIC))
    yield turn_on(wire.url, cdn_base_url=f"{s3.url}/{PUBLIC}")
    s3.client.delete_bucket_policy(Bucket=PUBLIC)


def _policy(bucket: str) -> str:
    allow = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]})


def said() -> str:
    found = connection.check()
    assert not found.ok
    return " | ".join(step.message for step in found.steps if not step.ok)


def test_a_sound_cdn_passes_and_keeps_no_probe(s3, reachable, purges):
    for name, value in purges.fields().items():
        setattr(reachable, name, value)
    reachable.save()
    found = connection.check()
    assert found.ok, found.report()
    assert len(found.steps) == 12
    assert s3.objects(PUBLIC) == s3.objects(PRIVATE) == {}
    assert len(purges.urls()) == 1


def test_the_button_says_each_step(manager, reachable):
    html = manager.get(PAGE).content.decode()
    assert "Test connection" in html
    answer = manager.post(TEST, follow=True)
    texts = [str(message) for message in answer.context["messages"]]
    assert "public bucket: write: works" in texts
    assert len(texts) == 11


def test_each_step_is_said_in_the_language_of_who_asks(manager, reachable):
    manager.cookies["django_language"] = "ar"
    answer = manager.post(TEST, follow=True)
    texts = [str(message) for message in answer.context["messages"]]
    assert len(texts) == 11
    assert not any("works" in text for text in texts)


def test_the_button_is_for_those_who_may_change_the_settings(reachable):
    browser = Client()
    browser.force_login(person(roles.CONTENT_EDITORS))
    assert browser.post(TEST).status_code == 403


def test_the_api_answers_the_same(manager, reachable):
    answer = manager.post(API)
    assert answer.status_code == 200
    body = answer.json()
    assert body["ok"] is True
    assert body["steps"][1] == {
        "name": "public bucket: write",
        "ok": True,
        "message": "works",
    }


def test_the_api_is_for_those_who_may_change_the_settings(client, reachable):
    assert client.post(API).status_code == 401
    browser = Client()
    browser.force_login(person(roles.CONTENT_EDITORS))
    assert browser.post(API).status_code == 403


def test_the_command_answers_the_same(reachable):
    out = StringIO()
    call_command("check_cdn", "--json", stdout=out)
    assert json.loads(out.getvalue())["ok"] is True


def test_the_command_fails_with_what_is_wrong(reachable):
    reachable.cdn_bucket = "no-such-bucket"
    reachable.save()
    out = StringIO()
    with pytest.raises(CommandError) as failed:
        call_command("check_cdn", stdout=out)
    assert failed.value.returncode == 1
    assert "no bucket with this name" in out.getvalue()


def test_it_says_when_nobody_answers(reachable):
    reachable.cdn_endpoint = "http://127.0.0.1:9"
    reachable.save()
    assert "the endpoint does not answer" in said()


def test_it_says_when_the_answer_takes_too_long(wire, reachable, settings):
    settings.UPLOAD_READ_TIMEOUT = 1
    wire.fault = lambda _method, _path: "hang"
    assert "failed or timed out" in said()


def test_a_server_that_does_not_answer_is_asked_once(wire, reachable, settings):
    """The request blocks its sender, and nginx waits one minute for the API."""
    settings.UPLOAD_READ_TIMEOUT, settings.UPLOAD_ATTEMPTS = 1, 3
    wire.fault = lambda _method, _path: "hang"
    found = connection.check()
    assert [step.ok for step in found.steps] == [True, False]
    assert wire.counts() == {"PUT": 1}


def test_a_server_that_refuses_is_tried_with_the_other_bucket_too(reachable):
    reachable.cdn_bucket = "no-such-bucket"
    reachable.save()
    names = [step.name for step in connection.check().steps]
    assert "private bucket: write" in names


def test_a_bucket_has_less_time_while_somebody_waits(reachable, settings):
    settings.UPLOAD_READ_TIMEOUT = 30
    read = {
        interactive: s3_buckets.client_of(
            reachable, interactive=interactive
        ).meta.config.read_timeout
        for interactive in (True, False)
    }
    assert read == {True: 10, False: 30}


def test_it_says_when_the_bucket_lies(wire, reachable):
    wire.fault = lambda method, _path: "lie" if method == "PUT" else None
    assert "the stored data is different" in said()


def test_it_says_when_the_base_url_leads_elsewhere(reachable, s3):
    reachable.cdn_base_url = f"{s3.url}/{PRIVATE}"
    reachable.cdn_private_bucket = ""
    reachable.save()
    assert "Does this address lead to the public bucket" in said()


def test_it_says_when_the_base_url_leads_to_the_private_bucket(reachable):
    reachable.cdn_bucket, reachable.cdn_private_bucket = PRIVATE, PUBLIC
    reachable.save()
    assert f"private bucket at {reachable.cdn_base_url}/." in said()


def test_it_says_when_anyone_may_read_the_private_bucket(reachable, s3, wire):
    s3.client.put_bucket_policy(Bucket=PRIVATE, Policy=_policy(PRIVATE))
    try:
        assert f"private bucket at {wire.url}/{PRIVATE}/." in said()
    finally:
        s3.client.delete_bucket_policy(Bucket=PRIVATE)


def test_it_says_when_the_secret_cannot_be_read(reachable, settings):
    settings.SECRETS_KEYS = ["b" * 43 + "="]
    assert "MEMORA_SECRETS_KEYS" in said()


def test_it_says_when_cloudflare_refuses_the_token(reachable, purges):
    reachable.cloudflare_zone = purges.fields()["cloudflare_zone"]
    reachable.cloudflare_token = secrets.encrypt("another-token")
    reachable.save()
    assert "Cloudflare refuses the token" in said()


@pytest.fixture
def edge(s3, reachable, purges):
    """Cloudflare before the public bucket, with zone and token; it keeps copies when
    `keeps` is set, whatever the query."""

    class Edge(BaseHTTPRequestHandler):
        keeps = True
        copies: ClassVar[dict[str, bytes]] = {}

        def do_GET(self):
            path = self.path.partition("?")[0]
            body = self.copies.get(path) or s3.objects(PUBLIC).get(path[1:], b"")
            if self.keeps:
                self.copies[path] = body
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("CF-Cache-Status", "MISS" if self.keeps else "DYNAMIC")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Edge)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name, value in purges.fields().items():
        setattr(reachable, name, value)
    reachable.cdn_base_url = f"http://127.0.0.1:{server.server_port}"
    reachable.save()
    yield Edge
    server.shutdown()
    server.server_close()


def test_a_copy_of_the_first_probe_does_not_open_the_private_bucket(edge):
    found = connection.check()
    assert found.ok, found.report()
    assert edge.copies


def test_it_says_when_cloudflare_keeps_no_copies(edge):
    edge.keeps = False
    assert "Cloudflare does not cache files" in said()


# --- No secret in any output ----------------------------------------------------------


@pytest.mark.parametrize("fault", ["500", "reset", "lie", "flip"])
def test_no_secret_reaches_logs_errors_files_or_pages(
    caplog, capfd, manager, wire, purges, plan, fault
):
    caplog.set_level(logging.DEBUG)
    turn_on(wire.url, **purges.fields())
    wire.fault = lambda method, _path: fault if method == "PUT" else None
    entry = builds.publish_plan(plan.pk, trigger="test")
    assert entry is not None
    assert entry.error
    connection.check()
    purges.fail_with = 500
    texts = [entry.error, *(step.message for step in connection.check().steps)]
    pages = [
        manager.get(f"/admin/publishing/synclog/{entry.pk}/change/").content.decode(),
        manager.get("/admin/publishing/dashboard/").content.decode(),
    ]
    files = [path.read_bytes() for path in _all_files()]
    output = "".join(capfd.readouterr())
    records = [r for r in caplog.records if not r.name.startswith(("boto", "urllib3"))]
    logged = "".join(str(record.__dict__) for record in records)
    for secret in (SECRET, TOKEN):
        assert secret not in "".join([*texts, *pages, output, logged])
        assert not any(secret.encode() in data for data in files)


def _all_files():
    from tests.publishing import release

    return [path for path in release.root().rglob("*") if path.is_file()]


def test_the_keys_are_those_of_the_row(reachable):
    assert secrets.decrypt(reachable.cdn_secret_key) == SECRET


def test_an_access_key_from_before_is_encrypted_and_comes_back():
    encrypt = import_module("publishing.migrations.0007_access_key_encrypted")
    PublishingSettings.get_solo()
    PublishingSettings.objects.update(cdn_access_key=KEY_ID)
    encrypt.encrypt_access_key(apps, None)
    current = PublishingSettings.get_solo()
    assert current.cdn_access_key != KEY_ID
    assert current.secret("cdn_access_key") == KEY_ID
    encrypt.encrypt_access_key(apps, None)
    assert PublishingSettings.get_solo().secret("cdn_access_key") == KEY_ID
    encrypt.decrypt_access_key(apps, None)
    assert PublishingSettings.get_solo().cdn_access_key == KEY_ID


# --- Saving the page ------------------------------------------------------------------


@pytest.fixture
def sound(s3, wire):
    """The form values of a CDN that passes the test."""
    s3.client.put_bucket_policy(Bucket=PUBLIC, Policy=_policy(PUBLIC))
    yield {
        "cdn_enabled": "on",
        "cdn_base_url": f"{s3.url}/{PUBLIC}",
        "cdn_endpoint": wire.url,
        "cdn_region": "us-east-1",
        "cdn_path_style": "on",
        "cdn_bucket": PUBLIC,
        "cdn_private_bucket": PRIVATE,
        "cdn_access_key": KEY_ID,
        "cdn_secret_key": SECRET,
    }
    s3.client.delete_bucket_policy(Bucket=PUBLIC)


def save(manager, without=(), **changes):
    """Send the page with these changes, and with these checkboxes cleared."""
    sent = form(manager.get(PAGE), **changes)
    return manager.post(PAGE, {k: v for k, v in sent.items() if k not in without})


def test_a_cdn_that_passes_the_test_is_saved_and_said_so(manager, sound):
    answer = save(manager, **sound)
    assert answer.status_code == 302, answer.context["errors"]
    assert PublishingSettings.get_solo().cdn_enabled
    page = manager.get(PAGE)
    texts = [str(message) for message in page.context["messages"]]
    assert "The CDN connection test succeeded." in texts


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("cdn_bucket", "no-such-bucket", "there is no bucket with this name"),
        ("cdn_base_url", "https://no-such-host.invalid", "does not answer"),
        ("cdn_endpoint", "https://no-such-host.invalid", "does not answer"),
    ],
)
def test_a_cdn_that_fails_the_test_is_not_saved(manager, sound, field, value, message):
    answer = save(manager, **{**sound, field: value})
    assert answer.status_code == 200
    html = answer.content.decode()
    assert "nothing was saved" in html
    assert message in html
    assert SECRET not in html
    stored = PublishingSettings.get_solo()
    assert (stored.cdn_enabled, stored.cdn_bucket, stored.cdn_secret_key) == (
        False,
        "",
        "",
    )


def test_a_cdn_in_use_stays_as_it_is_when_new_settings_fail(manager, reachable):
    answer = save(manager, cdn_bucket="no-such-bucket")
    assert "nothing was saved" in answer.content.decode()
    assert PublishingSettings.get_solo().cdn_bucket == PUBLIC


def test_new_keys_of_a_cdn_in_use_are_tested(manager, reachable, wire):
    assert save(manager, cdn_secret_key="another").status_code == 302
    assert wire.requests


def test_a_cdn_that_is_not_used_is_saved_for_later_without_a_test(manager, sound, wire):
    assert save(manager, without=["cdn_enabled"], **sound).status_code == 302
    stored = PublishingSettings.get_solo()
    assert (stored.cdn_enabled, stored.cdn_bucket) == (False, PUBLIC)
    assert wire.requests == []


def test_other_settings_are_saved_while_the_cdn_does_not_answer(
    manager, reachable, wire
):
    assert save(manager, batch_threshold="7").status_code == 302
    assert wire.requests == []


def test_what_helps_against_a_dead_cdn_needs_no_test(manager, reachable, wire):
    wire.fault = lambda _method, _path: "reset"
    assert save(manager, local_fallback_mode="on").status_code == 302
    assert PublishingSettings.get_solo().local_fallback_mode
    assert save(manager, without=["cdn_enabled"]).status_code == 302
    assert not PublishingSettings.get_solo().cdn_enabled
    assert wire.requests == []


def test_students_are_not_led_back_to_a_dead_cdn(manager, reachable, wire):
    reachable.local_fallback_mode = True
    reachable.save()
    wire.fault = lambda _method, _path: "reset"
    answer = save(manager, without=["local_fallback_mode"])
    assert "nothing was saved" in answer.content.decode()
    assert PublishingSettings.get_solo().local_fallback_mode


@pytest.mark.django_db(transaction=True)
def test_no_transaction_waits_for_the_cdn(manager, sound, monkeypatch):
    """A waiting transaction would block every other writer of an SQLite database."""
    inside = []
    check = connection.check

    def watched(current):
        inside.append(database.in_atomic_block)
        return check(current)

    monkeypatch.setattr(connection, "check", watched)
    assert save(manager, **sound).status_code == 302
    assert inside == [False]


def test_somebody_who_may_not_save_tests_nothing(sound, wire):
    browser = Client()
    browser.force_login(person(roles.CONTENT_EDITORS))
    assert browser.post(PAGE, sound).status_code == 403
    assert wire.requests == []

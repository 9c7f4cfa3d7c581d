"""The inbox verifies, stores and answers; it does nothing else in the request."""

import threading
import time

import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext

from registrar import checks
from registrar.inbox import refusals, verifiers
from registrar.inbox.bodies import BodyError, named_records
from registrar.inbox.receiving import MAX_BYTES
from registrar.models import Delivery, Hint
from tests.registrar.inbox.conftest import (
    HEADER_KEY,
    HMAC_KEY,
    STUDENT_UPDATED,
    TOKEN,
    signed,
)

pytestmark = pytest.mark.django_db

NOTIFICATIONS = "/api/v1/webhooks/zoho/notifications"
DASHBOARD = "/api/v1/webhooks/student-dashboard/"


def notification(**values):
    return {
        "server_time": 1772366400000,
        "module": "BTEC_Students",
        "ids": ["1", "2"],
        "operation": "update",
        "channel_id": "1",
        "token": TOKEN,
        **values,
    }


@pytest.mark.parametrize(
    ("event", "module", "operation"),
    [
        ("student_updated", "BTEC_Students", "changed"),
        ("student_deleted", "BTEC_Students", "deleted"),
        ("registration_created", "BTEC_Registrations", "changed"),
        ("payment_recorded", "BTEC_Payments", "changed"),
        ("class_created", "BTEC_Classes", "changed"),
        ("enrollment_updated", "BTEC_Enrollments", "changed"),
        ("grade_submitted", "BTEC_Grades", "changed"),
        ("request_status_changed", "BTEC_Student_Requests", "changed"),
        ("teacher_updated", "BTEC_Teachers", "changed"),
    ],
)
def test_every_event_becomes_a_hint_for_its_module(send, event, module, operation):
    assert send({"id": "5001"}, DASHBOARD + event).status_code == 200
    hint = Hint.objects.get()
    assert (hint.module, hint.record_id) == (module, "5001")
    assert hint.operation == operation


@pytest.mark.parametrize("event", ["submit_student_request", "student_exploded"])
def test_what_is_no_event_is_not_found(send, event):
    assert send({"id": "1"}, DASHBOARD + event).status_code == 404
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("sync/programs", "Products"),
        ("sync/grades", "BTEC_Grades"),
        ("btec-templates/sync", "BTEC_Units"),
    ],
)
def test_an_older_address_reads_the_module_or_the_named_record(send, path, module):
    assert send({}, f"/api/v1/{path}").status_code == 200
    assert send({"id": "7"}, f"/api/v1/{path}/").status_code == 200
    first, second = Hint.objects.order_by("pk")
    assert (first.module, first.operation, first.record_id) == (module, "list", "")
    assert (second.module, second.operation) == (module, "changed")


def test_the_older_address_of_a_student_is_the_same_webhook(send):
    send({"id": "1"}, "/api/v1/events/zoho/student")
    send({"id": "1"})
    # The second is the same delivery.
    assert Delivery.objects.get().times == 2


def test_the_body_is_stored_as_it_arrived(send):
    body = '{"id": "1",  "City": "عمّان"}'
    answer = send(body)
    assert answer.json() == {"accepted": 1, "duplicate": False}
    assert bytes(Delivery.objects.get().body) == body.encode()


def test_a_signed_body_is_accepted_and_each_old_key_as_long_as_it_is_set(
    send, settings
):
    settings.REGISTRAR_HMAC_KEYS = ["n" * 32, HMAC_KEY]
    body = b'{"id": "1"}'
    assert send(body, **signed(body)).status_code == 200
    assert Delivery.objects.get().verifier == "hmac"


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Other": "1"},
        {verifiers.KEY_HEADER: ""},
        {verifiers.KEY_HEADER: "k" * 31},
        {verifiers.KEY_HEADER: "ك"},
        signed(b'{"id": "2"}'),
        signed(b'{"id": "1"}', key="x" * 32),
        signed(b'{"id": "1"}', at=time.time() - 301),
        signed(b'{"id": "1"}', at=time.time() + 3000),
        signed(b'{"id": "1"}') | {verifiers.TIME_HEADER: "٣"},
        signed(b'{"id": "1"}') | {verifiers.SIGNATURE_HEADER: ""},
    ],
    ids=range(10),
)
def test_a_wrong_signature_is_refused_counted_and_leaves_no_row(send, headers):
    answer = send(b'{"id": "1"}', **headers)
    assert answer.status_code == 401
    assert answer.json()["error_code"] == "NOT_AUTHENTICATED"
    assert not Delivery.objects.exists()
    assert refusals.counts() == {"signature": 1, "body": 0, "size": 0}


def test_a_notification_is_verified_by_its_token(client):
    answer = client.post(NOTIFICATIONS, notification(), "application/json")
    assert answer.json() == {"accepted": 2, "duplicate": False}
    assert set(Hint.objects.values_list("module", "record_id")) == {
        ("BTEC_Students", "1"),
        ("BTEC_Students", "2"),
    }
    for token in ("wrong", None, 5, ["t" * 32]):
        body = notification(token=token)
        refused = client.post(NOTIFICATIONS, body, "application/json")
        assert refused.status_code == 401
    assert Delivery.objects.count() == 1


def test_a_token_in_the_body_opens_only_the_notifications(client):
    path = DASHBOARD + "student_updated"
    body = {"id": "1", "token": TOKEN}
    assert client.post(path, body, "application/json").status_code == 401


@pytest.mark.parametrize(
    "change",
    [{"module": "Leads"}, {"operation": "explode"}, {"ids": []}, {"ids": [{}]}],
)
def test_a_notification_that_names_nothing_of_ours_is_refused(client, change):
    body = notification(**change)
    answer = client.post(NOTIFICATIONS, body, "application/json")
    assert answer.status_code == 400
    assert not Delivery.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"id": ""}',
        b'{"id": "1; drop"}',
        b'{"id": true}',
        b'{"ids": ["' + b"1" * 41 + b'"]}',
        b"[" * 40 + b"]" * 40,
        b"\xff",
    ],
)
def test_a_body_without_a_record_is_refused_and_counted(send, body):
    assert send(body).status_code == 400
    assert refusals.counts()["body"] == 1
    assert not Delivery.objects.exists()


def test_a_body_over_the_limit_is_refused_before_it_is_read(send):
    body = b'{"id": "1", "x": "' + b"a" * MAX_BYTES + b'"}'
    assert send(body).status_code == 413
    assert not Delivery.objects.exists()


def test_a_form_is_understood_too(client):
    answer = client.post(
        DASHBOARD + "student_updated",
        "id=5001&Modified_Time=2026-03-01T12%3A00%3A00%2B03%3A00",
        "application/x-www-form-urlencoded",
        headers={verifiers.KEY_HEADER: HEADER_KEY},
    )
    assert answer.status_code == 200
    assert Hint.objects.get().not_before is not None


@pytest.mark.parametrize(
    ("value", "ids"),
    [
        ({"id": 12}, ["12"]),
        ({"ids": "1, 2,2"}, ["1", "2"]),
        ({"data": {"id": "1"}}, ["1"]),
        ({"data": [{"id": "1"}, {"zoho_id": "2"}, "3"]}, ["1", "2"]),
        ([{"record_id": "1"}, {"id": "1"}], ["1"]),
        ({"data": {"data": {"data": {"id": "1"}}}}, []),
        ("1", []),
    ],
)
def test_the_records_of_a_body(value, ids):
    assert [one.id for one in named_records(value)] == ids


def test_a_body_with_too_many_records_is_refused():
    with pytest.raises(BodyError):
        named_records({"ids": list(range(1, 300))})


def test_without_secrets_there_is_no_inbox(send, settings):
    settings.REGISTRAR_HMAC_KEYS = []
    settings.REGISTRAR_HEADER_KEYS = []
    settings.REGISTRAR_TOKENS = []
    assert send({"id": "1"}).status_code == 404


def test_a_get_is_not_allowed(client):
    assert client.get(DASHBOARD + "student_updated/").status_code == 405


def test_a_delivery_takes_a_fixed_number_of_queries(send):
    # The secrets; savepoint and release, the delivery, its hints.
    with CaptureQueriesContext(connection) as queries:
        send({"ids": [str(number) for number in range(1, 50)]})
    assert len(queries) == 5, [one["sql"] for one in queries]


@pytest.mark.django_db(transaction=True)
def test_the_same_webhook_ten_times_at_once_is_stored_once():
    if connection.vendor == "sqlite":
        pytest.skip("an in-memory database has one connection")
    answers, barrier = [], threading.Barrier(10)

    def deliver():
        barrier.wait()
        answers.append(
            Client().post(
                STUDENT_UPDATED,
                '{"id": "1"}',
                "application/json",
                headers={verifiers.KEY_HEADER: HEADER_KEY},
            )
        )
        connections.close_all()

    senders = [threading.Thread(target=deliver) for _ in range(10)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert [answer.status_code for answer in answers] == [200] * 10
    assert sum(not answer.json()["duplicate"] for answer in answers) == 1
    assert Delivery.objects.get().times == 10
    assert Hint.objects.count() == 1


def test_the_metrics_show_refusals_and_the_queue(client, send):
    send({"id": "1"})
    send({"id": "1"}, **{verifiers.KEY_HEADER: "wrong"})
    page = client.get("/metrics").content.decode()
    assert 'memora_registrar_refused_deliveries_total{reason="signature"} 1.0' in page
    assert 'memora_registrar_inbox{state="pending"} 1.0' in page
    assert "memora_registrar_inbox_lag_seconds" in page


def test_the_registrar_has_no_metrics_while_it_is_off(client, settings):
    settings.REGISTRAR_HMAC_KEYS = []
    settings.REGISTRAR_HEADER_KEYS = []
    settings.REGISTRAR_TOKENS = []
    assert "memora_registrar" not in client.get("/metrics").content.decode()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"REGISTRAR_HMAC_KEYS": ["short"]}, ["registrar.E003"]),
        ({"REGISTRAR_TOKENS": ["t" * 51]}, ["registrar.E004"]),
        ({"ZOHO_CLIENT_ID": "1000.X"}, ["registrar.E005"]),
        ({"ZOHO_ACCOUNTS_URL": "http://accounts.example"}, ["registrar.E006"]),
        ({"ZOHO_ACCOUNTS_URL": "accounts.zoho.com"}, ["registrar.E006"]),
    ],
)
def test_settings_that_cannot_work_are_errors(settings, changes, expected):
    for name, value in changes.items():
        setattr(settings, name, value)
    assert [found.id for found in checks.check_settings()] == expected

"""Attachments, notification channels, and what the CRM is made of."""

import io
import json
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from registrar.peers.errors import PeerRefusedError
from registrar.zoho import files, metadata, notifications, records
from registrar.zoho.notifications import Channel
from tests.registrar.simulators.zoho import Webhook

RECEIPT = b"%PDF-1.4 " + bytes(range(256)) * 500


@pytest.fixture
def request_id(zoho) -> str:
    return zoho.store.insert("BTEC_Student_Requests", {"Subject": "a"})["id"]


def attach(crm, request_id: str, file=None) -> str:
    return files.attach(
        crm,
        module="BTEC_Student_Requests",
        record_id=request_id,
        name="إيصال.pdf",
        file=file or io.BytesIO(RECEIPT),
        content_type="application/pdf",
    )


def test_an_attachment_is_uploaded_and_downloaded(crm, zoho, request_id):
    key = attach(crm, request_id)
    where = {"module": "BTEC_Student_Requests", "record_id": request_id}
    [row] = zoho.attachments[request_id]
    assert (row["id"], row["File_Name"]) == (key, "إيصال.pdf")
    with files.download(crm, **where, attachment_id=key) as parts:
        assert b"".join(parts) == RECEIPT


def test_a_download_is_repeated_with_a_new_token(crm, zoho, request_id):
    key = attach(crm, request_id)
    zoho.expire_tokens()
    where = {"module": "BTEC_Student_Requests", "record_id": request_id}
    with files.download(crm, **where, attachment_id=key) as parts:
        assert b"".join(parts) == RECEIPT
    assert zoho.refreshes == 2


def test_an_upload_is_repeated_from_its_start_with_a_new_token(crm, zoho, request_id):
    metadata.organisation(crm)
    zoho.expire_tokens()
    attach(crm, request_id)
    [row] = zoho.attachments[request_id]
    assert row["content"] == RECEIPT


def test_a_file_for_an_upload_field_has_an_id(crm, zoho):
    key = files.upload(
        crm, name="r.png", file=io.BytesIO(b"png"), content_type="image/png"
    )
    assert zoho.files[key] == ("r.png", "image/png", b"png")


def test_an_attachment_of_a_record_that_does_not_exist_is_refused(crm):
    with pytest.raises(PeerRefusedError):
        attach(crm, "99")
    with (
        pytest.raises(PeerRefusedError),
        files.download(
            crm, module="BTEC_Students", record_id="99", attachment_id="1"
        ) as parts,
    ):
        list(parts)


# --- Channels -------------------------------------------------------------------------


@pytest.fixture
def receiver():
    """A web server that keeps the notifications it gets."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.received.append(json.loads(body))
            self.server.headers = self.headers
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            self.server.arrived.set()

        def log_message(self, *_args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.received, server.arrived = [], threading.Event()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def channel(url: str = "https://memora.example/hook", **changes) -> Channel:
    details = {
        "id": "1000000068001",
        "events": ("BTEC_Students.all", "BTEC_Classes.edit"),
        "notify_url": url,
        "expires": datetime.now(UTC).replace(microsecond=0) + timedelta(days=6),
    }
    return Channel(**details | changes)


def test_a_channel_notifies_us_of_ids_with_its_token(crm, zoho, receiver):
    url = f"http://127.0.0.1:{receiver.server_port}/"
    notifications.enable(crm, channel=channel(url), token="secret-token")
    student = zoho.store.insert("BTEC_Students", {"City": "نابلس"})
    assert receiver.arrived.wait(10)
    [found] = receiver.received
    assert found["ids"] == [student["id"]]
    assert (found["module"], found["operation"]) == ("BTEC_Students", "insert")
    assert found["token"] == "secret-token"
    assert "City" not in found


def test_a_channel_is_read_renewed_and_closed(crm, zoho):
    notifications.enable(crm, channel=channel(), token="t")
    assert notifications.get(crm, channel_id=channel().id) == channel(
        expires=notifications.get(crm, channel_id=channel().id).expires
    )
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(days=6, hours=20)
    notifications.renew(crm, channel=channel(expires=later), token="t")
    assert notifications.get(crm, channel_id=channel().id).expires == later
    notifications.disable(crm, channel_ids=[channel().id])
    assert notifications.get(crm, channel_id=channel().id) is None


def test_a_channel_that_has_expired_cannot_be_renewed(crm):
    with pytest.raises(PeerRefusedError):
        notifications.renew(crm, channel=channel(), token="t")


def test_a_channel_lives_for_a_week_at_most(crm):
    late = datetime.now(UTC) + timedelta(days=8)
    with pytest.raises(PeerRefusedError) as refused:
        notifications.enable(crm, channel=channel(expires=late), token="t")
    assert refused.value.details == {"field": "channel_expiry"}


def test_a_token_of_more_than_50_characters_is_not_sent(crm, zoho):
    with pytest.raises(ValueError, match="50"):
        notifications.enable(crm, channel=channel(), token="x" * 51)
    assert zoho.requests == []


def test_a_webhook_sends_what_was_configured(zoho, receiver):
    zoho.webhooks.append(
        Webhook(
            module="BTEC_Students",
            url=f"http://127.0.0.1:{receiver.server_port}/",
            operations=("update",),
            body=lambda record: {"zoho_id": record["id"], "city": record["City"]},
            headers=lambda body: {"X-Length": str(len(body))},
        )
    )
    student = zoho.store.insert("BTEC_Students", {"City": "غزة"})
    zoho.store.update("BTEC_Students", student["id"], {"City": "جنين"})
    assert receiver.arrived.wait(10)
    assert receiver.received == [{"zoho_id": student["id"], "city": "جنين"}]
    assert int(receiver.headers["X-Length"]) > 0


# --- Metadata -------------------------------------------------------------------------


def test_the_crm_names_its_modules_and_fields(crm):
    assert {"BTEC_Students", "Products"} <= metadata.modules(crm)
    found = metadata.fields(crm, module="BTEC_Enrollments")
    assert found["Classes"].data_type == "lookup"
    assert "Withdrawn" in found["Enrollment_Status"].choices
    with pytest.raises(PeerRefusedError):
        metadata.fields(crm, module="BTEC_Nothing")


def test_a_half_empty_answer_can_be_simulated(crm, zoho):
    keys = [zoho.store.insert("BTEC_Students", {})["id"] for _ in range(3)]
    zoho.hidden = set(keys[:2])
    [page] = records.pages(crm, module="BTEC_Students", fields=["City"])
    assert [row["id"] for row in page.records] == keys[2:]

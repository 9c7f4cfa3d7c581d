"""A sender of webhooks, and the registrar connected to the simulated CRM."""

import json
import time

import pytest
from cryptography.fernet import Fernet

from registrar import sources
from registrar.inbox import verifiers
from registrar.sources import RecordSource, ZohoSource

HMAC_KEY = "h" * 32
HEADER_KEY = "k" * 32
TOKEN = "t" * 32
STUDENT_UPDATED = "/api/v1/webhooks/student-dashboard/student_updated"


@pytest.fixture(autouse=True)
def _secrets(settings):
    settings.REGISTRAR_HMAC_KEYS = [HMAC_KEY]
    settings.REGISTRAR_HEADER_KEYS = [HEADER_KEY]
    settings.REGISTRAR_TOKENS = [TOKEN]
    settings.SECRETS_KEYS = [Fernet.generate_key().decode()]


@pytest.fixture
def source(crm) -> RecordSource:
    return ZohoSource(crm)


@pytest.fixture
def connected(monkeypatch, source) -> RecordSource:
    """Let the tasks read from the simulated CRM."""
    monkeypatch.setattr(sources, "current", lambda: source)
    return source


@pytest.fixture
def send(client):
    """Send a webhook with the key in a header."""

    def send(body, path=STUDENT_UPDATED, **headers):
        data = body if isinstance(body, bytes | str) else json.dumps(body)
        headers = headers or {verifiers.KEY_HEADER: HEADER_KEY}
        return client.post(path, data, "application/json", headers=headers)

    return send


def signed(body: bytes, *, key=HMAC_KEY, at: float | None = None) -> dict[str, str]:
    timestamp = str(int(time.time() if at is None else at))
    return {
        verifiers.TIME_HEADER: timestamp,
        verifiers.SIGNATURE_HEADER: "sha256="
        + verifiers.signature(key, timestamp=timestamp, body=body),
    }

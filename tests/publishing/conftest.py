"""Shared fixtures: two subjects with a few lessons, and one plan."""

from contextlib import contextmanager

import pytest

from content.models import Node
from plans.models import AcademicPlan
from plans.services import add_subject
from publishing import receivers
from tests.factories.content import make_subject
from tests.publishing.fake_s3 import PurgeApi, S3Server, Wire, running


def node(public_id: str) -> Node:
    return Node.objects.get(public_id=public_id)


@pytest.fixture
def math(db) -> Node:
    return make_subject("MATH")


@pytest.fixture
def plan(math) -> AcademicPlan:
    plan = AcademicPlan.objects.create(
        public_id="PLAN-A", title="Grade 5", is_published=True
    )
    add_subject(plan=plan, subject=math)
    return plan


@pytest.fixture
def worker_starts(monkeypatch) -> list[bool]:
    """Grows when an edit starts a worker; the test does the worker's work itself."""
    found: list[bool] = []
    monkeypatch.setattr(receivers.process_pending, "delay", lambda: found.append(True))
    return found


# --- Fake CDN services ----------------------------------------------------------------


@pytest.fixture(scope="session")
def _s3_server():
    with running(S3Server()) as server:
        yield server


@pytest.fixture(scope="session")
def _wire(_s3_server):
    with running(Wire(_s3_server.port)) as wire:
        yield wire


@pytest.fixture
def s3(_s3_server, settings) -> S3Server:
    """An S3 server with an empty public and an empty private bucket.

    It answers within the timeout even on a busy machine; `impatient` shortens the
    timeout for requests that hang.
    """
    settings.UPLOAD_CONNECT_TIMEOUT = settings.UPLOAD_READ_TIMEOUT = 60
    settings.UPLOAD_ATTEMPTS, settings.CDN_TEST_SECONDS = 1, 600
    _s3_server.reset()
    return _s3_server


@pytest.fixture
def impatient(settings):
    """Return a context manager that limits the wait for an answer to 1.5 s."""

    @contextmanager
    def waiting_not_long():
        patient, settings.UPLOAD_READ_TIMEOUT = settings.UPLOAD_READ_TIMEOUT, 1.5
        try:
            yield
        finally:
            settings.UPLOAD_READ_TIMEOUT = patient

    return waiting_not_long


@pytest.fixture
def wire(s3, _wire) -> Wire:
    """A proxy before the S3 server that can inject faults."""
    _wire.reset()
    return _wire


@pytest.fixture
def purges(settings):
    """A fake of Cloudflare's purge API."""
    with running(PurgeApi()) as api:
        settings.CLOUDFLARE_API_URL = api.url
        yield api

"""A session that one process ends is refused by every other at its next request.

On MariaDB only: other processes cannot read SQLite in memory.
"""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

import pytest
from django.conf import settings as site_settings
from django.db import connection

from memora_site import embedded_redis
from players.models import SessionEndReason, User
from players.services import accounts, devices, sessions
from tests.players.app import PASSWORD

pytestmark = [
    pytest.mark.mariadb,
    pytest.mark.django_db(transaction=True),
]
EMAIL = "lina@school.example"

_SERVER = """
import json, sys
import django
django.setup()
from django.test import Client
for line in sys.stdin:
    device, token = json.loads(line)
    answer = Client().get(
        "/api/v1/auth/session/",
        headers={"X-Device-ID": device, "Authorization": f"Bearer {token}"},
    )
    code = answer.json().get("error_code", "")
    print(json.dumps([answer.status_code, code]), flush=True)
"""


class Process:
    """A process of the site that checks sessions, with the test's stores."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def check(self, device_id: uuid.UUID, token: str) -> tuple[int, str]:
        """Return the status and the error code of a request with a token."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([str(device_id), token]), file=self.process.stdin, flush=True)
        status, code = json.loads(self.process.stdout.readline())
        return status, code


@pytest.fixture
def processes(db) -> Iterator[list[Process]]:
    """Two processes of the site."""
    url = urlsplit(os.environ["DATABASE_URL"])
    name = connection.settings_dict["NAME"]
    environment = os.environ | {
        "DATABASE_URL": urlunsplit(url._replace(path=f"/{name}")),
        "REDIS_URL": site_settings.REDIS_URL,
        "DJANGO_SETTINGS_MODULE": "memora_site.settings",
        "SECRET_KEY": site_settings.SECRET_KEY,
        "ALLOWED_HOSTS": "testserver",
    }
    with ExitStack() as stack:
        started = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _SERVER],
                    env=environment,
                    cwd=site_settings.BASE_DIR,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    preexec_fn=embedded_redis.end_with_parent,
                )
            )
            for _ in range(2)
        ]
        yield [Process(process) for process in started]
        # Leaving the stack closes their input, which ends them.


def test_an_end_of_a_session_is_seen_by_every_process_at_the_next_request(processes):
    player = accounts.create_player(EMAIL, PASSWORD, "Lina")
    device_id = uuid.uuid4()

    def sign_in() -> str:
        signed_in = sessions.sign_in(
            email=EMAIL, password=PASSWORD, device_id=device_id, now=datetime.now(UTC)
        )
        return signed_in.token.text

    def switch_off() -> None:
        user = User.objects.get(pk=player.user_id)
        user.is_active = False
        user.save()

    ends: list[tuple[Callable[[], object], tuple[int, str]]] = [
        (sign_in, (401, "SESSION_REPLACED")),
        (
            lambda: sessions.end_session(player.pk, SessionEndReason.ENDED_BY_STAFF),
            (401, "SESSION_ENDED_BY_STAFF"),
        ),
        (
            lambda: devices.remove(player_id=player.pk, device_id=device_id),
            (401, "DEVICE_REMOVED"),
        ),
        (switch_off, (403, "ACCOUNT_INACTIVE")),
    ]
    for end, refusal in ends:
        if refusal[1] == "ACCOUNT_INACTIVE":
            devices.add(player_id=player.pk, device_id=device_id)
        token = sign_in()
        for _twice in range(2):
            assert {p.check(device_id, token) for p in processes} == {(200, "")}
        end()
        assert {p.check(device_id, token) for p in processes} == {refusal}

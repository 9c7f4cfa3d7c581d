"""F0: a DRF view that does nothing. F1: one Redis GET. F2: and one committed INSERT."""

import threading
from typing import Any

from django.conf import settings
from django.db import connection
from django.urls import path
from django.utils import timezone
from redis import Redis
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

KEY = "bench:floor"
TABLE = "bench_floor"
CREATE_TABLE = {
    "mysql": [
        f"CREATE TABLE {TABLE} (id BIGINT AUTO_INCREMENT PRIMARY KEY, "
        "player_id BIGINT NOT NULL, xp INT NOT NULL, created_at DATETIME(6) NOT NULL, "
        f"KEY {TABLE}_player (player_id)) ENGINE=InnoDB"
    ],
    "sqlite": [
        f"CREATE TABLE {TABLE} (id INTEGER PRIMARY KEY AUTOINCREMENT, "
        "player_id BIGINT NOT NULL, xp INT NOT NULL, created_at DATETIME NOT NULL)",
        f"CREATE INDEX {TABLE}_player ON {TABLE} (player_id)",
    ],
}
_local = threading.local()


def _redis() -> Redis:
    client: Redis | None = getattr(_local, "client", None)
    if client is None:
        client = _local.client = Redis.from_url(
            settings.FLOOR_REDIS_URL, single_connection_client=True
        )
    return client


class Nothing(APIView):
    def get(self, _request: Request) -> Response:
        return Response({"ok": True})

    def post(self, _request: Request) -> Response:
        return Response({"ok": True})


class OneGet(APIView):
    def get(self, _request: Request) -> Response:
        _redis().get(KEY)
        return Response({"ok": True})


class OneInsert(APIView):
    def get(self, _request: Request) -> Response:
        _redis().get(KEY)
        with connection.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {TABLE} (player_id, xp, created_at) "  # noqa: S608
                "VALUES (%s, %s, %s)",
                [7, 10, timezone.now()],
            )
        return Response({"ok": True})


urlpatterns: list[Any] = [
    path("f0", Nothing.as_view()),
    path("f1", OneGet.as_view()),
    path("f2", OneInsert.as_view()),
]

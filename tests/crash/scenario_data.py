"""A database and a content root that can be reset to a saved state.

The driving process never opens a Django connection: all code that does runs in
a forked child (`in_child`), so that each child starts as a fresh process would, but
with Django already imported.
"""

import gc
import os
import pickle
import shutil
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import time_machine
from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections

from publishing import queue, tasks


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a child: a signal, or a value or an error."""

    signal: int
    value: Any = None
    error: str = ""


class World(ABC):
    """One database and one content root, in ``folder``."""

    def __init__(self, folder: Path, *, redis_url: str, now: int) -> None:
        self.folder = folder
        self.redis_url = redis_url
        self.now = now
        self.log = folder / "log.txt"
        self.root = folder / "none"
        folder.mkdir(parents=True, exist_ok=True)

    def enter(self) -> None:
        """In a child: configure Django for this world."""
        settings.REDIS_URL = self.redis_url
        settings.CACHES["default"]["LOCATION"] = self.redis_url
        settings.CONTENT_ROOT = self.root
        settings.CELERY_TASK_ALWAYS_EAGER = True
        # Edits start no worker: the scenario decides when a build runs.
        tasks.process_pending.delay = lambda: None
        queue._client_for.cache_clear()

    def in_child(self, action: Callable[[], Any]) -> Ended:
        """Run ``action`` in a child, with the clock stopped at this world's time."""
        receiving, sending = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receiving)
            self._be_child(action, sending)
        os.close(sending)
        with os.fdopen(receiving, "rb") as pipe:
            answer = pipe.read()
        _pid, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return Ended(os.WTERMSIG(status))
        value, error = pickle.loads(answer)  # noqa: S301 - from our own child
        return Ended(0, value, error)

    def _be_child(self, action: Callable[[], Any], sending: int) -> None:
        value, error = None, ""
        try:
            log = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            self.enter()
            with time_machine.travel(self.now, tick=False):
                value = action()
            connection.close()
        except BaseException as problem:  # noqa: BLE001 - told to the parent
            error = "".join(traceback.format_exception(problem))
        with os.fdopen(sending, "wb") as pipe:
            pickle.dump((value, error), pipe)
        sys.stdout.flush()
        os._exit(0)

    def warm_up(self, action: Callable[[], Any]) -> None:
        """Run ``action`` here, so that children need not import and compile."""
        self.root = self.folder / "warm"
        self.enter()
        with time_machine.travel(self.now, tick=False):
            action()
        connections.close_all()
        queue._client_for.cache_clear()
        gc.collect()
        gc.freeze()  # children share these pages; a collection would copy them

    def must(self, action: Callable[[], Any]) -> Any:
        """Call `in_child`; a signal or an error means that the test itself is wrong."""
        ended = self.in_child(action)
        if ended.signal or ended.error:
            raise RuntimeError(f"signal {ended.signal}\n{ended.error}")
        return ended.value

    def migrate(self) -> None:
        """Create the database."""
        self.must(lambda: call_command("migrate", verbosity=0))

    def keep(self) -> None:
        """Save the current state of database and files."""
        shutil.rmtree(self.folder / "kept", ignore_errors=True)
        if self.root.exists():
            shutil.copytree(self.root, self.folder / "kept", symlinks=True)
        self.keep_database()

    def restore(self, name: str) -> None:
        """Reset to the state saved by `keep`, with the files in a folder ``name``."""
        self.root = self.folder / name
        shutil.rmtree(self.root, ignore_errors=True)
        if (self.folder / "kept").exists():
            shutil.copytree(self.folder / "kept", self.root, symlinks=True)
        self.restore_database()

    @abstractmethod
    def keep_database(self) -> None:
        """Copy the database."""

    @abstractmethod
    def restore_database(self) -> None:
        """Replace the database by the copy that `keep_database` made."""

    def close(self) -> None:
        """Release all resources."""
        shutil.rmtree(self.folder, ignore_errors=True)


class SqliteWorld(World):
    """A database in one file, copied."""

    def enter(self) -> None:
        super().enter()
        connection.settings_dict["NAME"] = str(self.folder / "db.sqlite3")

    def keep_database(self) -> None:
        self.must(self._checkpoint)
        shutil.copyfile(self.folder / "db.sqlite3", self.folder / "kept.sqlite3")

    @staticmethod
    def _checkpoint() -> None:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def restore_database(self) -> None:
        for suffix in ("-wal", "-shm"):
            (self.folder / f"db.sqlite3{suffix}").unlink(missing_ok=True)
        shutil.copyfile(self.folder / "kept.sqlite3", self.folder / "db.sqlite3")


class MariadbWorld(World):
    """Its own database on the server of ``DATABASE_URL``, and a copy beside it."""

    def __init__(self, folder: Path, *, redis_url: str, now: int, name: str) -> None:
        super().__init__(folder, redis_url=redis_url, now=now)
        import MySQLdb

        self.name = name
        given = settings.DATABASES["default"]
        self._server = MySQLdb.connect(
            host=given["HOST"] or "127.0.0.1",
            port=int(given["PORT"] or 3306),
            user=given["USER"],
            password=given["PASSWORD"],
            autocommit=True,
        )
        self._do(f"DROP DATABASE IF EXISTS {name}")
        self._do(f"DROP DATABASE IF EXISTS {name}_kept")
        self._do(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        self._copied: list[tuple[str, str]] = []

    def _do(self, sql: str) -> list[Any]:
        cursor = self._server.cursor()
        try:
            cursor.execute(sql)
            return list(cursor.fetchall())
        finally:
            cursor.close()

    def enter(self) -> None:
        super().enter()
        connection.settings_dict["NAME"] = self.name

    def keep_database(self) -> None:
        kept = f"{self.name}_kept"
        self._do(f"DROP DATABASE IF EXISTS {kept}")
        self._do(f"CREATE DATABASE {kept} CHARACTER SET utf8mb4")
        columns: dict[str, list[str]] = {}
        prefixes = ("publishing_", "plans_", "content_")
        for schema, table, column, extra in self._do(
            "SELECT table_schema, table_name, column_name, extra "
            "FROM information_schema.columns ORDER BY ordinal_position"
        ):
            generated = "GENERATED" in extra.upper()
            if schema == self.name and table.startswith(prefixes) and not generated:
                columns.setdefault(table, []).append(f"`{column}`")
        self._copied = [(table, ",".join(names)) for table, names in columns.items()]
        for table, names in self._copied:
            self._do(f"CREATE TABLE {kept}.{table} LIKE {self.name}.{table}")
            self._copy(table, names, self.name, kept)

    def restore_database(self) -> None:
        self._do("SET FOREIGN_KEY_CHECKS = 0")
        self._do("START TRANSACTION")
        for table, names in self._copied:
            self._do(f"DELETE FROM {self.name}.{table}")  # noqa: S608
            self._copy(table, names, f"{self.name}_kept", self.name)
        self._do("COMMIT")

    def _copy(self, table: str, names: str, source: str, target: str) -> None:
        self._do(
            f"INSERT INTO {target}.{table} ({names}) SELECT {names} FROM {source}.{table}"  # noqa: S608
        )

    def close(self) -> None:
        self._do(f"DROP DATABASE IF EXISTS {self.name}")
        self._do(f"DROP DATABASE IF EXISTS {self.name}_kept")
        self._server.close()
        super().close()

"""A student's request does not wait long for a database; other requests may."""

import threading
import time
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import DatabaseError, IntegrityError, OperationalError, connections
from django.db.utils import ConnectionHandler
from environ import Env

from core import db_limits, time_budget
from core.db import is_unavailable, retry_on_conflict
from core.time_budget import STUDENT_REQUEST
from tests.servers import PrivateMariaDB

OPTIONS = {
    "charset": "utf8mb4",
    "isolation_level": "read committed",
    "init_command": "SET sql_mode='STRICT_TRANS_TABLES'",
    "connect_timeout": 10,
}


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory) -> Iterator[PrivateMariaDB]:
    if not PrivateMariaDB.is_installed():
        pytest.skip("MariaDB's server or its driver is not installed")
    server = PrivateMariaDB(tmp_path_factory.mktemp("mariadb"))
    server.run_sql(
        "CREATE TABLE one (id INT PRIMARY KEY, n INT) ENGINE=InnoDB; "
        "INSERT INTO one VALUES (1, 0)",
        database=server.DATABASE,
    )
    yield server
    server.kill()


class Database:
    """The site's database for this test; each thread has its own connection."""

    def __init__(self, config: dict) -> None:
        self.handler = ConnectionHandler({"default": config})

    @property
    def connection(self):
        return self.handler["default"]

    def ask(self, sql: str = "SELECT CONNECTION_ID()"):
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            return (cursor.fetchall() or [[None]])[0][0]

    def end_request(self) -> None:
        self.connection.close_if_unusable_or_obsolete()

    def refused(self, sql: str) -> tuple[float, DatabaseError]:
        """How long ``sql`` took to fail, and how."""
        started = time.monotonic()
        with pytest.raises(OperationalError) as caught:
            self.ask(sql)
        assert is_unavailable(caught.value)
        self.end_request()
        return time.monotonic() - started, caught.value


@pytest.fixture
def fresh(django_db_blocker):
    """Return a function that makes a `Database` and closes it after the test."""
    made = []

    def use(config: dict) -> Database:
        database = Database(config)
        made.append(database)
        return database

    db_limits.unreachable.end()
    with django_db_blocker.unblock():
        yield use
        for database in made:
            database.connection.close()
    db_limits.unreachable.end()


@pytest.fixture
def maria(mariadb, fresh) -> Iterator[Database]:
    yield fresh(
        Env.db_url_config(mariadb.url)
        | {
            "ENGINE": "core.db_backends.mysql",
            "OPTIONS": OPTIONS,
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
        }
    )
    if mariadb.process.poll() is not None:
        mariadb.start()
    mariadb.resume()


def test_students_have_limits_and_others_have_not(maria):
    limits = "SELECT CONCAT_WS(' ', @@max_statement_time, @@sql_mode, @@tx_isolation)"
    with STUDENT_REQUEST:
        assert maria.ask(limits) == "1.500000 STRICT_TRANS_TABLES READ-COMMITTED"
    assert maria.ask(limits) == "0.000000 STRICT_TRANS_TABLES READ-COMMITTED"
    with STUDENT_REQUEST:
        assert maria.ask(limits) == "1.500000 STRICT_TRANS_TABLES READ-COMMITTED"


def test_requests_of_one_kind_share_a_connection(maria):
    found = []
    for _request in range(3):
        with STUDENT_REQUEST:
            found.append(maria.ask())
        maria.end_request()
    assert len(set(found)) == 1
    assert maria.ask() != found[0]


def test_a_transaction_keeps_its_connection(maria):
    """A test's transaction is around the requests that it sends."""
    with STUDENT_REQUEST:
        before = maria.ask()
    maria.connection.in_atomic_block = True
    assert maria.ask() == before
    maria.connection.in_atomic_block = False


def test_a_long_statement_is_stopped_by_the_server(maria):
    with STUDENT_REQUEST:
        seconds, error = maria.refused("SELECT SLEEP(10)")
    assert error.args[0] == 1969
    assert 1.3 < seconds < 10
    assert maria.ask("SELECT SLEEP(0.1)") == 0


def test_a_lock_is_waited_for_as_long_as_a_statement_and_once(maria, mariadb):
    holds, done = threading.Event(), threading.Event()

    def hold() -> None:
        connection = ConnectionHandler(maria.handler.settings)["default"]
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("UPDATE one SET n = n + 1")
            holds.set()
            done.wait(20)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert holds.wait(10)
    attempts = []

    def write() -> None:
        attempts.append(1)
        maria.ask("UPDATE one SET n = n + 1")

    with STUDENT_REQUEST, pytest.raises(OperationalError) as caught:
        retry_on_conflict(write)
    with STUDENT_REQUEST:
        assert maria.ask("SELECT 1") == 1, "others do not wait for this lock"
    done.set()
    holder.join()
    assert caught.value.args[0] == 1969
    assert is_unavailable(caught.value)
    assert len(attempts) == 1


def test_a_server_that_hangs_is_waited_for_by_one_request(maria, mariadb):
    """The first one waits; others, with or without a connection, fail at once."""
    other = ConnectionHandler(maria.handler.settings)["default"]
    with STUDENT_REQUEST:
        maria.ask()
        other.ensure_connection()
        maria.end_request()
        mariadb.pause()
        seconds, error = maria.refused("SELECT 1")
        assert error.args[0] == 2013
        assert 1.5 < seconds < 10
    for connection in (maria.connection, other):
        with STUDENT_REQUEST, pytest.raises(OperationalError, match="a moment ago"):
            connection.cursor().execute("SELECT 1")
    mariadb.resume()
    time.sleep(db_limits.PAUSE_SECONDS)
    for connection in (maria.connection, other):
        with STUDENT_REQUEST:
            connection.cursor().execute("SELECT 1")
    other.close()


def test_after_the_pause_one_request_tries_and_the_others_fail_at_once(maria):
    with STUDENT_REQUEST:
        maria.ask()
    db_limits.unreachable.begin(0.0)
    assert db_limits.may_ask()
    with STUDENT_REQUEST:
        _seconds, error = maria.refused("SELECT 1")
    assert "a moment ago" in str(error)


def test_a_statement_that_fails_for_another_reason_ends_the_pause(maria, mariadb):
    """Such as a second row with the same key: the server has answered."""
    db_limits.unreachable.begin(0.0)
    with STUDENT_REQUEST:
        with pytest.raises(IntegrityError):
            maria.ask("INSERT INTO one VALUES (1, 0)")
        assert maria.ask("SELECT 1") == 1


def test_a_request_that_has_waited_long_begins_no_statement(maria, monkeypatch):
    monkeypatch.setattr(time_budget, "BUDGET_SECONDS", 0.1)
    with STUDENT_REQUEST:
        maria.ask("SELECT SLEEP(0.2)")
        _seconds, error = maria.refused("SELECT 1")
        assert "a moment ago" in str(error)
    with STUDENT_REQUEST:
        assert maria.ask("SELECT 1") == 1


def test_a_connection_to_a_server_that_hangs_is_waited_for_by_one_request(
    maria, mariadb
):
    mariadb.pause()
    with STUDENT_REQUEST:
        seconds, _error = maria.refused("SELECT 1")
    assert 1.5 < seconds < 10
    for _request in range(5):
        with STUDENT_REQUEST:
            _seconds, error = maria.refused("SELECT 1")
        assert "a moment ago" in str(error)
    mariadb.resume()
    time.sleep(db_limits.PAUSE_SECONDS)
    with STUDENT_REQUEST:
        assert maria.ask("SELECT 1") == 1


def test_a_restarted_server_is_not_noticed(maria, mariadb):
    with STUDENT_REQUEST:
        maria.ask()
    maria.end_request()
    mariadb.kill()
    mariadb.start()
    with STUDENT_REQUEST:
        assert maria.ask("SELECT 1") == 1


def test_a_server_that_is_gone_answers_at_once_and_is_asked_again(maria, mariadb):
    mariadb.kill()
    for _request in range(2):
        with STUDENT_REQUEST:
            seconds, _error = maria.refused("SELECT 1")
        assert seconds < 0.5
    mariadb.start()
    with STUDENT_REQUEST:
        assert maria.ask("SELECT 1") == 1


def test_a_healthy_connection_is_not_pinged(maria):
    """A ping at the start of each request would cost one more round trip."""
    pings = (
        "SELECT VARIABLE_VALUE FROM information_schema.SESSION_STATUS "
        "WHERE VARIABLE_NAME = 'COM_ADMIN_COMMANDS'"
    )
    with STUDENT_REQUEST:
        before = maria.ask(pings)
    for _request in range(3):
        maria.end_request()
        with STUDENT_REQUEST:
            assert maria.ask(pings) == before


@pytest.fixture
def lite(tmp_path, fresh) -> Database:
    return fresh(
        {
            "ENGINE": "core.db_backends.sqlite3",
            "NAME": str(tmp_path / "db.sqlite3"),
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20},
            "CONN_MAX_AGE": settings.DATABASES["default"]["CONN_MAX_AGE"],
        }
    )


def test_on_sqlite_requests_share_a_connection(lite):
    with STUDENT_REQUEST:
        lite.ask("CREATE TEMPORARY TABLE mine (n INT)")
    lite.end_request()
    with STUDENT_REQUEST:
        assert lite.ask("SELECT COUNT(*) FROM mine") == 0


def test_on_sqlite_students_wait_two_seconds_and_others_twenty(lite):
    waits = "PRAGMA busy_timeout"
    with STUDENT_REQUEST:
        assert lite.ask(waits) == 2000
    assert lite.ask(waits) == 20000
    with STUDENT_REQUEST:
        assert lite.ask(waits) == 2000
    lite.connection.close()
    assert lite.ask(waits) == 20000  # a worker, or a command


def test_on_sqlite_a_lock_that_is_held_is_unavailable(lite, monkeypatch):
    monkeypatch.setattr(db_limits, "SQLITE_LOCK_SECONDS", 0.2)
    other = ConnectionHandler(lite.handler.settings)["default"]
    with other.cursor() as cursor:
        cursor.execute("CREATE TABLE one (n INT)")
        cursor.execute("BEGIN IMMEDIATE")
        with STUDENT_REQUEST:
            seconds, _error = lite.refused("INSERT INTO one VALUES (1)")
        cursor.execute("ROLLBACK")
    other.close()
    assert 0.1 < seconds < 2.0


def test_the_site_uses_these_backends():
    assert settings.DATABASES["default"]["ENGINE"].startswith("core.db_backends.")
    assert type(connections["default"]).__module__.startswith("core.db_backends.")

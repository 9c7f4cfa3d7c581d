"""Statements that change rows of append-only tables are refused."""

import pytest

from core import statement_guard
from core.statement_guard import AppendOnlyError

LEDGER = "progress_interactionlog"


@pytest.mark.parametrize(
    "statement",
    [
        'UPDATE "progress_interactionlog" SET "xp" = %s WHERE "id" = %s',
        "update `progress_interactionlog` set xp = 1",
        "UPDATE OR IGNORE progress_interactionlog SET xp = 1",
        "UPDATE players_device JOIN progress_interactionlog ON true SET progress_interactionlog.xp = 1",
        'DELETE FROM "progress_interactionlog" WHERE "id" IN (%s)',
        "DELETE `progress_interactionlog` FROM `progress_interactionlog` INNER JOIN players_device ON true",
        "DELETE FROM memora.progress_interactionlog",
        "  \n/* tidy */ -- up\n DELETE FROM progress_interactionlog",
        "/* for (all) ** SET */ DELETE FROM progress_interactionlog",
        "REPLACE INTO progress_interactionlog (id, xp) VALUES (1, 2)",
        "INSERT OR REPLACE INTO progress_interactionlog (id, xp) VALUES (1, 2)",
        "INSERT INTO progress_interactionlog (id) VALUES (1) ON DUPLICATE KEY UPDATE xp = 1",
        "INSERT INTO progress_interactionlog (id) VALUES (1) ON CONFLICT (id) DO UPDATE SET xp = 1",
        "TRUNCATE TABLE `progress_interactionlog`",
        "DROP TABLE progress_interactionlog",
        "WITH old AS (SELECT 1) DELETE FROM progress_interactionlog",
    ],
)
def test_a_change_of_an_append_only_table_is_refused(statement):
    with pytest.raises(AppendOnlyError, match=LEDGER):
        statement_guard.check(statement)
    with statement_guard.rewriting():
        statement_guard.check(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "",
        'INSERT INTO "progress_interactionlog" ("id", "data") VALUES (%s, %s)',
        "SELECT * FROM progress_interactionlog WHERE id = 1 FOR UPDATE",
        "WITH some AS (SELECT id FROM progress_interactionlog) SELECT * FROM some FOR UPDATE",
        "INSERT INTO players_device (id) SELECT id FROM progress_interactionlog "
        "ON DUPLICATE KEY UPDATE id = 1",
        "UPDATE players_device SET id = (SELECT max(id) FROM progress_interactionlog)",
        "DELETE FROM players_device WHERE id IN (SELECT id FROM progress_interactionlog)",
        "DELETE FROM progress_interactionlog_copy",
        "ALTER TABLE progress_interactionlog ADD COLUMN new integer",
        "SAVEPOINT a",
    ],
)
def test_adding_reading_and_other_tables_are_allowed(statement):
    statement_guard.check(statement)


def test_changes_are_refused_again_after_an_error_within_rewriting():
    with pytest.raises(KeyError), statement_guard.rewriting():
        raise KeyError
    with pytest.raises(AppendOnlyError):
        statement_guard.check("DELETE FROM progress_interactionlog")


def test_a_table_that_is_protected_later_is_refused_too(monkeypatch):
    statement = "DELETE FROM a_new_table"
    monkeypatch.setattr(statement_guard, "_tables", set(statement_guard._tables))
    statement_guard.check(statement)
    statement_guard.protect("a_new_table")
    with pytest.raises(AppendOnlyError, match="a_new_table"):
        statement_guard.check(statement)


def test_a_long_statement_is_refused_like_a_short_one():
    many = ", ".join(map(str, range(9000)))
    statement = f"DELETE FROM {LEDGER} WHERE id IN ({many})"  # noqa: S608
    with pytest.raises(AppendOnlyError, match=LEDGER):
        statement_guard.check(statement)

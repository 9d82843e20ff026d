"""What the database's failures are called, and how a transaction behaves."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, exc, literal_column, select, text
from sqlalchemy.dialects.postgresql import dialect as postgresql_dialect
from sqlalchemy.dialects.sqlite import dialect as sqlite_dialect

from migrator.db import engine as engine_module
from migrator.db import schema
from migrator.db.columns import UtcDateTime, database_now, seconds_until
from migrator.db.engine import Database, parse_url, translate
from migrator.errors import Broken, MigratorError, Refused, Transient

NOW = datetime(2026, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/test.db"


@pytest.fixture
def database(url: str) -> Database:
    made = Database(url, lambda: NOW)
    with made.writer() as connection:
        connection.execute(text("CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER)"))
        connection.execute(text("INSERT INTO counters VALUES ('one', 0)"))
    return made


def value(database: Database) -> Any:
    with database.reader() as connection:
        return connection.execute(text("SELECT value FROM counters")).scalar()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://root@localhost/migrator",
        "postgresql+psycopg2://root@localhost/migrator",
        "file:///etc/passwd",
    ],
)
def test_an_address_that_is_no_database_of_ours_is_refused(url: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_url(url)
    assert refused.value.code == "config.invalid"


def test_a_bare_postgresql_address_means_psycopg() -> None:
    assert parse_url("postgresql://u@h/d").drivername == "postgresql+psycopg"


def failed(kind: type[exc.DBAPIError], why: str, sqlstate: str = "") -> exc.DBAPIError:
    cause = sqlite3.OperationalError(why)
    cause.sqlstate = sqlstate  # type: ignore[attr-defined]
    return kind("SELECT 1", {}, cause)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (failed(exc.OperationalError, "database is locked"), Transient, "database.busy"),
        (failed(exc.OperationalError, "deadlock", "40P01"), Transient, "database.busy"),
        (failed(exc.OperationalError, "no lock", "55P03"), Transient, "database.busy"),
        (failed(exc.OperationalError, "too many", "53300"), Transient, "database.busy"),
        (exc.TimeoutError("QueuePool limit"), Transient, "database.busy"),
        (failed(exc.OperationalError, "disk I/O error"), Transient, "database.unreachable"),
        (failed(exc.OperationalError, "refused", "57P01"), Transient, "database.unreachable"),
        (failed(exc.InterfaceError, "closed"), Transient, "database.unreachable"),
        (failed(exc.OperationalError, "no such table: x"), Transient, "database.revision"),
        (failed(exc.ProgrammingError, "no relation", "42P01"), Transient, "database.revision"),
        (failed(exc.DataError, "too long", "22001"), Refused, "request.invalid"),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"), Refused, "request.invalid"),
        (failed(exc.IntegrityError, "UNIQUE"), Broken, "internal"),
        (exc.ArgumentError("wrong"), Broken, "internal"),
    ],
)
def test_every_failure_has_a_class_and_a_code(
    error: Exception, kind: type[MigratorError], code: str
) -> None:
    translated = translate(error)
    assert type(translated) is kind
    assert translated.code == code


def test_an_unmigrated_database_says_what_to_run(url: str) -> None:
    database = Database(url)
    with (
        pytest.raises(Transient, match="migrator-manage db upgrade") as raised,
        database.reader() as connection,
    ):
        connection.execute(text("SELECT * FROM migrations"))
    assert raised.value.code == "database.revision"
    with pytest.raises(Transient, match=r"is empty.*migrator-manage db upgrade") as raised:
        schema.check(url)
    assert raised.value.code == "database.revision"


def test_a_database_that_cannot_be_opened_is_unreachable() -> None:
    for nowhere in ("sqlite:////nowhere/at/all.db", "postgresql+psycopg://u@127.0.0.1:1/d"):
        with pytest.raises(Transient) as raised:
            schema.check(nowhere)
        assert raised.value.code == "database.unreachable"


def test_what_raises_in_a_writer_changes_nothing(database: Database) -> None:
    def work(connection: Connection) -> float:
        connection.execute(text("UPDATE counters SET value = 5"))
        return 1 / 0

    with pytest.raises(ZeroDivisionError):
        database.write(work)
    assert value(database) == 0


def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    with database.writer() as connection:
        connection.execute(text("UPDATE counters SET value = 5"))
        assert value(database) == 0
    assert value(database) == 5


def test_read_then_write_by_many_threads_of_two_processes_loses_nothing(
    database: Database, url: str
) -> None:
    # A second Database shares nothing with the first but the file.
    other = Database(url)

    def count(mine: Database) -> None:
        for _ in range(25):
            with mine.writer() as connection:
                seen = connection.execute(text("SELECT value FROM counters")).scalar_one()
                connection.execute(text("UPDATE counters SET value = :v"), {"v": seen + 1})

    threads = [threading.Thread(target=count, args=[mine]) for mine in (database, other) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value(database) == 200


def test_a_writer_that_waits_too_long_is_told_that_the_database_is_busy(
    url: str,
) -> None:
    hasty = Database(url, busy_s=0.05)
    for rival in (hasty, Database(url, busy_s=0.05)):
        with hasty.writer(), pytest.raises(Transient) as raised, rival.writer():
            pass
        assert raised.value.code == "database.busy"


def test_a_collision_is_tried_again_and_other_failures_are_not(database: Database) -> None:
    tries: list[str] = []

    def work(state: str, times: int) -> Any:
        def run(connection: object) -> int:
            tries.append(state)
            if tries.count(state) <= times:
                raise failed(exc.OperationalError, "collided", state)
            return len(tries)

        return run

    assert database.write(work("40001", 2)) == 3
    with pytest.raises(Transient) as raised:
        database.write(work("40P01", 99))
    assert raised.value.code == "database.busy"
    assert tries.count("40P01") == engine_module.COLLISION_TRIES
    with pytest.raises(Transient):
        database.write(work("57P01", 1))
    assert tries.count("57P01") == 1


def test_only_statements_are_counted(database: Database) -> None:
    before = database.statements
    with database.writer() as connection:
        connection.execute(text("UPDATE counters SET value = 1"))
        connection.execute(text("SELECT 1"))
    assert database.statements - before == 2


def test_the_databases_clock_on_sqlite_is_the_one_it_was_given(database: Database) -> None:
    later = literal_column("'2026-05-06 07:08:10.123456'", UtcDateTime())
    with database.reader() as connection:
        now, ahead, until, never = connection.execute(
            select(
                database_now(),
                database_now(1.5),
                seconds_until(later),
                seconds_until(literal_column("NULL", UtcDateTime())),
            )
        ).one()
    assert now == NOW
    assert ahead == NOW + timedelta(seconds=1.5)
    assert until == pytest.approx(1.0)
    assert never is None


def test_a_time_of_any_zone_is_stored_as_utc_and_one_of_none_is_refused() -> None:
    local = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    column = UtcDateTime()
    for dialect, stored in (
        (sqlite_dialect(), NOW.replace(tzinfo=None)),
        (postgresql_dialect(), NOW),
    ):
        assert column.process_bind_param(local, dialect) == stored
        assert column.process_result_value(stored, dialect) == NOW
        assert column.process_result_value(None, dialect) is None
        with pytest.raises(ValueError, match="no time zone"):
            column.process_bind_param(NOW.replace(tzinfo=None), dialect)

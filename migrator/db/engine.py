"""One database, SQLite or PostgreSQL, and how its failures are called here.

SQLite: every writer begins with ``BEGIN IMMEDIATE``. A transaction that reads first and writes later
would fail with "database is locked" as soon as another one has written in between, and waiting does
not help it. Within this process writers queue at a lock, because SQLite's own waiting polls.
PostgreSQL: READ COMMITTED; what must not change under a transaction is compared by the statement
that writes it, or locked. A transaction whose process stands still is ended by the server, so that
it cannot keep the rows of a migration from whoever takes over.
"""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, exc, make_url
from sqlalchemy.dialects import postgresql, sqlite

from migrator.db.columns import SQLITE_TIME
from migrator.errors import Broken, MigratorError, Refused, Transient

T = TypeVar("T")

BUSY_S = 15.0
"""How long a writer waits for others before it says ``database.busy``."""

STALLED_S = 30
"""After this many seconds PostgreSQL ends a transaction whose process does nothing."""

COLLISION_TRIES = 5
"""Tries of a PostgreSQL transaction that deadlocked or could not be serialised."""

_COLLISIONS = frozenset({"40001", "40P01"})
_BUSY = _COLLISIONS | {"55P03", "57014", "53300"}
"""SQLSTATEs: lock not available, cancelled by a timeout, too many connections."""
_NO_SUCH_TABLE = frozenset({"42P01", "42703"})
_DAMAGED = ("file is not a database", "disk image is malformed", "malformed database schema")
"""What SQLite says of a file that it cannot read as its own."""
_UNCOUNTED = ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA")

Insert = sqlite.Insert | postgresql.Insert


def _system_now() -> datetime:
    return datetime.now(UTC)


class Database:
    """Connections for any number of threads.

    :param url: ``sqlite:////path`` or ``postgresql+psycopg://user:password@host/name``.
    :param now: SQLite's clock for leases and due times; PostgreSQL has its own.
    :param busy_s: how long a writer waits for others before it says ``database.busy``.
    """

    def __init__(
        self, url: str, now: Callable[[], datetime] = _system_now, busy_s: float = BUSY_S
    ) -> None:
        self._busy_s = busy_s
        self.url = parse_url(url)
        self.statements = 0
        """SQL statements sent so far, BEGIN, COMMIT and PRAGMA apart; for tests and benchmarks."""
        self.hear: Callable[[str], None] | None = None
        """Is told every statement that counts, by the thread that sends it."""
        self._count_lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._now = now
        self._engine = self._sqlite() if self.is_sqlite else self._postgresql()
        self._read_engine = self._engine.execution_options(readonly=True)
        event.listen(self._engine, "before_cursor_execute", self._count)

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    # -- transactions

    @contextmanager
    def reader(self) -> Iterator[Connection]:
        """A transaction that only reads.

        :raises Transient: ``database.busy``, ``database.unreachable``, ``database.revision``.
        """
        try:
            with self._read_engine.connect() as connection:
                yield connection
        except (exc.SQLAlchemyError, UnicodeError) as error:
            raise translate(error) from error

    @contextmanager
    def writer(self) -> Iterator[Connection]:
        """A transaction that commits at the end of the block, or changes nothing when it raises.

        :raises Transient: as :meth:`reader`.
        """
        try:
            with self._begin() as connection:
                yield connection
        except (exc.SQLAlchemyError, UnicodeError) as error:
            raise translate(error) from error

    def write(self, work: Callable[[Connection], T]) -> T:
        """``work`` in a writing transaction, anew when it collided with another one.

        ``work`` may run several times and so does nothing but SQL.

        :raises Transient: as :meth:`reader`.
        :raises Broken: ``internal``, caused by the ``IntegrityError``, when a rule of the tables
            was broken: what that means is known only where the statement is.
        """
        for left in reversed(range(COLLISION_TRIES)):
            try:
                with self._begin() as connection:
                    return work(connection)
            except (exc.SQLAlchemyError, UnicodeError) as error:
                if not left or sqlstate(error) not in _COLLISIONS:
                    raise translate(error) from error
            # Both sides of a deadlock must not come back at the same moment.
            time.sleep(random.uniform(0.0, 0.05))
        raise AssertionError("unreachable")

    def insert(self, table: Table) -> Any:
        """An INSERT that knows ON CONFLICT, which both databases write alike."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        if not self.is_sqlite:
            with self._engine.begin() as connection:
                yield connection
            return
        if not self._write_lock.acquire(timeout=self._busy_s):
            raise busy(f"another writer of this process has held it for {self._busy_s:g} s")
        try:
            with self._engine.begin() as connection:
                yield connection
        finally:
            self._write_lock.release()

    # -- engines

    def _sqlite(self) -> Engine:
        engine = create_engine(self.url, pool_size=8, max_overflow=24, pool_timeout=self._busy_s)

        @event.listens_for(engine, "connect")
        def connect(dbapi: Any, record: object) -> None:
            # sqlite3 would begin (deferred) transactions of its own accord.
            dbapi.isolation_level = None
            for pragma in (
                f"busy_timeout={int(self._busy_s * 1000)}",
                "journal_mode=WAL",
                "synchronous=NORMAL",
                "foreign_keys=ON",
            ):
                dbapi.execute(f"PRAGMA {pragma}")
            dbapi.create_function("migrator_now", 1, self._sqlite_now)
            dbapi.create_function("migrator_seconds_until", 1, self._sqlite_until)

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            readonly = connection.get_execution_options().get("readonly")
            connection.exec_driver_sql("BEGIN" if readonly else "BEGIN IMMEDIATE")

        return engine

    def _sqlite_now(self, seconds: float) -> str:
        at = self._now().astimezone(UTC).timestamp() + seconds
        return datetime.fromtimestamp(at, UTC).strftime(SQLITE_TIME)

    def _sqlite_until(self, at: str | None) -> float | None:
        if at is None:
            return None
        return (datetime.fromisoformat(at).replace(tzinfo=UTC) - self._now()).total_seconds()

    def _postgresql(self) -> Engine:
        settings = {
            "timezone": "UTC",
            "lock_timeout": int(self._busy_s * 1000),
            "statement_timeout": int(self._busy_s * 2000),
            "idle_in_transaction_session_timeout": STALLED_S * 1000,
        }
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        return create_engine(
            self.url,
            pool_size=8,
            max_overflow=24,
            pool_timeout=self._busy_s,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 5, "options": options},
        )

    def _count(self, *args: Any) -> None:
        statement: str = args[2]
        if not statement.lstrip().upper().startswith(_UNCOUNTED):
            with self._count_lock:
                self.statements += 1
            if self.hear is not None:
                self.hear(statement)


def parse_url(url: str) -> URL:
    """:raises Refused: ``config.invalid`` for anything but an SQLite file or PostgreSQL."""
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except exc.ArgumentError:
        backend = ""
    if backend == "sqlite" and _is_path(parsed.database):
        return parsed
    if backend == "postgresql" and parsed.drivername in ("postgresql", "postgresql+psycopg"):
        # Which driver the bare name means has changed between releases of SQLAlchemy.
        return parsed.set(drivername="postgresql+psycopg")
    raise Refused(
        "config.invalid",
        "the database must be a file, sqlite:////var/lib/migrator/migrator.db, or PostgreSQL, "
        "postgresql+psycopg://user:password@host/name; correct `[database] connection`",
    )


def _is_path(database: str | None) -> bool:
    return database not in (None, "", ":memory:") and "\0" not in str(database)


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's code of a failed statement; empty for anything else."""
    return str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")


def busy(why: str) -> Transient:
    return Transient("database.busy", f"the database is busy: {why}; try again")


def _check(error: BaseException) -> str:
    if not isinstance(getattr(error, "orig", None), sqlite3.Error):
        return "check that it runs and `[database] connection`"
    return (
        "check that the file of `[database] connection` and its directory are there, that this user"
        " may write to them and that the disk is not full"
    )


def translate(error: BaseException) -> MigratorError:
    """What SQLAlchemy raised, in the words of :mod:`migrator.errors`."""
    why = str(getattr(error, "orig", None) or error).strip().split("\n")[0]
    state = sqlstate(error)
    if isinstance(error, UnicodeError | exc.DataError) or "cannot contain NUL" in why:
        return Refused("request.invalid", f"a value cannot be stored: {why}")
    if isinstance(error, exc.TimeoutError) or state in _BUSY or "locked" in why:
        return busy(why)
    if state in _NO_SUCH_TABLE or "no such table" in why or "no such column" in why:
        return Transient(
            "database.revision",
            f"the database lacks what this release needs ({why}); run `migrator-manage db upgrade`",
        )
    if any(words in why for words in _DAMAGED):
        return Transient(
            "database.damaged",
            f"the database file is damaged ({why}): stop migrator, keep a copy of the file and its"
            " -wal, and restore a backup; without one move it away, and instances are found again"
            " where they run, but the history of migrations is lost",
        )
    if isinstance(error, exc.OperationalError | exc.InterfaceError) or getattr(
        error, "connection_invalidated", False
    ):
        return Transient(
            "database.unreachable", f"the database cannot be used: {why}; {_check(error)}"
        )
    return Broken("internal", f"the database refused a statement: {why}")

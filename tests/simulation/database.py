"""The conductors' database: SQLite in memory, away or torn when the run says so.

Made once per test process and emptied for every run: building tables and compiling statements would
cost more than a whole migration.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, exc
from sqlalchemy.pool import StaticPool

from migrator.db.engine import Database, translate
from migrator.db.tables import metadata
from migrator.errors import Transient

T = TypeVar("T")
Point = Callable[[str], None]


def nothing(label: str) -> None:
    """Outside of a run nobody looks."""


class SimDatabase(Database):
    """One for all conductors of a run, as a server would be. A transaction is atomic; what can happen
    happens before it, or between its COMMIT and the answer."""

    def __init__(self) -> None:
        self.time: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.point: Point = nothing
        self.away = False
        self.cut_next_commit = False
        self.commits = 0
        super().__init__("sqlite:////simulation", lambda: self.time())
        event.remove(self._engine, "before_cursor_execute", self._count)
        # One connection for everybody, and no pool: nobody else goes on within a transaction.
        self._connection = self._engine.connect()
        raw = self._connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        self._raw = raw
        metadata.create_all(self._connection)
        self._template = sqlite3.connect(":memory:")
        self._raw.backup(self._template)

    def empty(self) -> None:
        """As it was made."""
        self._template.backup(self._raw)
        self.away = self.cut_next_commit = False
        self.point = nothing

    def _sqlite(self) -> Engine:
        engine = create_engine("sqlite://", poolclass=StaticPool, isolation_level="AUTOCOMMIT")

        @event.listens_for(engine, "connect")
        def connect(dbapi: Any, record: object) -> None:
            dbapi.isolation_level = None
            dbapi.execute("PRAGMA foreign_keys=ON")
            dbapi.create_function("migrator_now", 1, self._sqlite_now)
            dbapi.create_function("migrator_seconds_until", 1, self._sqlite_until)

        return engine

    @contextmanager
    def reader(self) -> Iterator[Connection]:
        self._before("read")
        try:
            yield self._connection
        except (exc.SQLAlchemyError, UnicodeError) as error:
            raise translate(error) from error

    @contextmanager
    def writer(self) -> Iterator[Connection]:
        self._before("write")
        with super().writer() as connection:
            yield connection
        self._committed()

    @contextmanager
    def _begin(self) -> Iterator[Connection]:
        self._raw.execute("BEGIN")
        try:
            yield self._connection
        except BaseException:
            self._raw.execute("ROLLBACK")
            raise
        self._raw.execute("COMMIT")

    def write(self, work: Callable[[Connection], T]) -> T:
        self._before("write")
        result = super().write(work)
        self._committed()
        return result

    def _before(self, what: str) -> None:
        self.point(f"database {what}")
        if self.away:
            raise unreachable("the server is away")

    def peek(self, query: str) -> list[Any]:
        """A look from outside of the run: never away, never a point."""
        return self._raw.execute(query).fetchall()

    def _committed(self) -> None:
        self.commits += 1
        self.point("database committed")
        if self.cut_next_commit:
            self.cut_next_commit = False
            raise unreachable("the connection was lost while it committed")


def unreachable(why: str) -> Transient:
    return Transient("database.unreachable", f"the database cannot be used: {why}")

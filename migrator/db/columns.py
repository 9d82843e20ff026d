"""Column types and the database's clock, the same on SQLite and PostgreSQL.

Leases and due times are compared with one clock only, the database's: :class:`database_now` is
``clock_timestamp()`` on PostgreSQL, which all conductors share; an SQLite file has one machine, so
there it is the clock the :class:`migrator.db.engine.Database` was given. Neither stands still
within a transaction: one that waited for a row's lock judges a lease by the moment it got it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, Float, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

SQLITE_TIME = "%Y-%m-%d %H:%M:%S.%f"
"""How SQLite columns hold a time, always UTC: text that sorts as the time does."""


class UtcDateTime(TypeDecorator[datetime]):
    """A timezone-aware UTC datetime, in Python and in the database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class database_now(FunctionElement[datetime]):
    """The database's clock, ``seconds`` from now."""

    type = UtcDateTime()
    inherit_cache = True
    name = "database_now"

    def __init__(self, seconds: float = 0.0) -> None:
        super().__init__(literal(float(seconds), Float))


class seconds_until(FunctionElement[float]):
    """Seconds from the database's clock to a time column; negative once it has passed."""

    type = Float()
    inherit_cache = True
    name = "seconds_until"


@compiles(database_now, "sqlite")
def _sqlite_now(element: Any, compiler: Any, **kw: Any) -> str:
    return f"migrator_now({compiler.process(element.clauses, **kw)})"


@compiles(database_now, "postgresql")
def _postgresql_now(element: Any, compiler: Any, **kw: Any) -> str:
    return f"(clock_timestamp() + {compiler.process(element.clauses, **kw)} * interval '1 second')"


@compiles(seconds_until, "sqlite")
def _sqlite_until(element: Any, compiler: Any, **kw: Any) -> str:
    return f"migrator_seconds_until({compiler.process(element.clauses, **kw)})"


@compiles(seconds_until, "postgresql")
def _postgresql_until(element: Any, compiler: Any, **kw: Any) -> str:
    column = compiler.process(element.clauses, **kw)
    return f"CAST(extract(epoch from {column} - clock_timestamp()) AS double precision)"

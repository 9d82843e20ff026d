"""Reading migrations, their history and their to-dos."""

from __future__ import annotations

import functools
import re
import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.sql.elements import ColumnElement

from migrator.db.columns import database_now, seconds_until
from migrator.db.engine import Database
from migrator.db.migration_rows import MIGRATION
from migrator.db.rows import (
    event_from,
    in_line_from,
    migration_from,
    model_columns,
    storable,
    todo_from,
)
from migrator.db.tables import migration_events, migrations, todos
from migrator.errors import Refused
from migrator.messages import ListMigrations
from migrator.model import InLine, Migration, MigrationEvent, Mode, Todo
from migrator.states import FLOW_STATES

TODO = model_columns(todos, Todo)
_IN_LINE = model_columns(migrations, InLine)

_ID = re.compile(r"[0-9a-f-]{4,36}")
_ID_LENGTH = 36
_CANDIDATES = 5

DUE_AT_ONCE = 100
"""To-dos handed out by one call."""

TODO_LEASE_S = 10.0
"""How long a to-do belongs to the conductor it was handed to, unless that says how it went or that it
still works on it. Bounds how long a dead conductor's work waits for another."""


class SqlMigrationStore:
    """:class:`migrator.conductor.ports.MigrationStore` in SQL."""

    def __init__(self, database: Database, todo_lease_s: float = TODO_LEASE_S) -> None:
        self._database = database
        self._todo_lease_s = todo_lease_s
        self._life = uuid.uuid4().hex
        self._taking = functools.cache(self._take_due)

    def get(self, migration_id: str) -> Migration:
        """By id, or by an unambiguous beginning of it of at least four characters."""
        wanted = migration_id.lower()
        if not _ID.fullmatch(wanted):
            raise unknown_migration(migration_id)
        if len(wanted) == _ID_LENGTH:
            found = self._migrations(_BY_ID, id=wanted)
        else:
            query = select(*MIGRATION).where(migrations.c.id.like(f"{wanted}%"))
            query = query.order_by(migrations.c.created_at.desc()).limit(_CANDIDATES)
            found = self._migrations(query)
        if not found:
            raise unknown_migration(migration_id)
        if len(found) > 1:
            ids = [migration.id for migration in found]
            raise Refused(
                "migration.ambiguous",
                f"several migrations begin with {migration_id}: {', '.join(ids)}; write more of it",
                candidates=ids,
            )
        return found[0]

    def by_request(self, request_id: str) -> Migration | None:
        """The migration that a client's request id has made."""
        if not storable(request_id):
            return None
        query = select(*MIGRATION).where(migrations.c.request_id == request_id)
        with self._database.reader() as connection:
            row = connection.execute(query).first()
        return None if row is None else migration_from(row)

    def find(self, wanted: ListMigrations) -> Sequence[Migration]:
        """Newest first, at most ``wanted.limit``."""
        named = [text for text in (wanted.instance, wanted.host) if text is not None]
        if not all(map(storable, named)):
            return []
        newest = migrations.c.created_at.desc(), migrations.c.id
        query = select(*MIGRATION).where(*_conditions(wanted)).order_by(*newest)
        return self._migrations(query.limit(max(wanted.limit, 0)))

    def unfinished(self) -> Sequence[Migration]:
        """Oldest first."""
        query = select(*MIGRATION).where(migrations.c.finished_at.is_(None))
        return self._migrations(query.order_by(migrations.c.created_at, migrations.c.id))

    def line(self) -> Sequence[InLine]:
        """Oldest first."""
        return self._in_line(_LINE)

    def resumable(self, leader: str) -> Sequence[InLine]:
        """Those with an active flow whose lease has run out or is ``leader``'s own, oldest first."""
        return self._in_line(_resumable(leader))

    def events(self, migration_id: str, after: int, limit: int) -> Sequence[MigrationEvent]:
        """Its history after sequence number ``after``, oldest first."""
        query = (
            select(*migration_events.columns)
            .where(migration_events.c.migration_id == migration_id, migration_events.c.seq > after)
            .order_by(migration_events.c.seq)
            .limit(limit)
        )
        with self._database.reader() as connection:
            return [event_from(row) for row in connection.execute(query)]

    def due_todos(self, leader: str) -> Sequence[Todo]:
        """Hand out what is due to ``leader``, for as long as the to-do's lease.

        Until then, or until it is finished or postponed, nobody is given it again; only a
        conductor of that name that was restarted need not wait for its former life. To-dos of one
        migration on one host keep their order: none is handed out before an earlier one is.
        """
        take = self._taking(leader)
        taken = self._database.write(lambda c: [todo_from(row) for row in c.execute(take)])
        return sorted(taken, key=lambda todo: todo.id)

    def keep_todos(self, leader: str, ids: Collection[int]) -> None:
        """``leader`` still works on these: prolong their lease."""
        mine = todos.c.id.in_(ids), todos.c.done.is_(False), todos.c.worker == self._worker(leader)
        keep = update(todos).where(*mine).values(worker_until=database_now(self._todo_lease_s))
        with self._database.writer() as connection:
            connection.execute(keep)

    def hasten_todos(self, host: str) -> bool:
        """What could not be done on ``host`` before is due now; False when there was nothing."""
        waits = todos.c.host == host, todos.c.done.is_(False), todos.c.attempts > 0
        late = update(todos).where(*waits, todos.c.next_try_at > database_now())
        with self._database.writer() as connection:
            done = connection.execute(late.values(next_try_at=database_now()))
            return bool(done.rowcount > 0)

    def next_todo_in(self, leader: str | None = None) -> float | None:
        """Seconds until the next to-do is due; None when there is none.

        One that is being worked on counts as due when its lease ends, and one that waits for an
        earlier one not at all. With ``leader`` neither do those of migrations that another living
        conductor leads.
        """
        with self._database.reader() as connection:
            seconds = connection.execute(_next_due(leader)).scalar()
        return None if seconds is None else max(float(seconds), 0.0)

    def ended_since(
        self, since: datetime | None, but: Sequence[str], limit: int
    ) -> Sequence[Migration]:
        """Ended at or after ``since``, ``but`` for these ids; oldest end first."""
        query = select(*MIGRATION).where(migrations.c.finished_at.is_not(None))
        if since is not None:
            query = query.where(migrations.c.finished_at >= since, migrations.c.id.not_in(but))
        return self._migrations(query.order_by(migrations.c.finished_at).limit(limit))

    def todo_retries(self) -> int:
        """How often to-dos were tried in vain, altogether."""
        with self._database.reader() as connection:
            return int(connection.execute(select(func.sum(todos.c.attempts))).scalar() or 0)

    def open_todos(self, migration_id: str) -> Sequence[Todo]:
        """Oldest first."""
        query = select(*TODO).where(todos.c.migration_id == migration_id, todos.c.done.is_(False))
        with self._database.reader() as connection:
            return [todo_from(row) for row in connection.execute(query.order_by(todos.c.id))]

    def _take_due(self, leader: str) -> ReturningUpdate[Any]:
        worker = self._worker(leader)
        ready = and_(todos.c.next_try_at <= database_now(), _free(todos, leader, worker))
        earlier = todos.alias("earlier")
        not_ready = or_(
            earlier.c.next_try_at > database_now(), not_(_free(earlier, leader, worker))
        )
        query = (
            select(todos.c.id)
            .join_from(todos, migrations)
            .where(
                todos.c.done.is_(False),
                ready,
                led_by_nobody_but(leader),
                ~exists().where(_before(earlier), not_ready).correlate(todos),
            )
            .order_by(todos.c.id)
            .limit(DUE_AT_ONCE)
        )
        return (
            update(todos)
            .where(todos.c.id.in_(query), todos.c.done.is_(False), ready)
            .values(worker=worker, worker_until=database_now(self._todo_lease_s))
            .returning(*TODO)
        )

    def _worker(self, leader: str) -> str:
        return f"{leader}#{self._life}"

    def _in_line(self, query: Select[Any]) -> Sequence[InLine]:
        with self._database.reader() as connection:
            return [in_line_from(row) for row in connection.execute(query)]

    def _migrations(self, query: Select[Any], **wanted: Any) -> Sequence[Migration]:
        with self._database.reader() as connection:
            return [migration_from(row) for row in connection.execute(query, wanted)]


_BY_ID = select(*MIGRATION).where(migrations.c.id == bindparam("id"))
_LINE = (
    select(*_IN_LINE)
    .where(migrations.c.finished_at.is_(None))
    .order_by(migrations.c.created_at, migrations.c.id)
)


@functools.cache
def _resumable(leader: str) -> Select[Any]:
    """Built once for a leader: it is asked all the time."""
    return _LINE.where(migrations.c.state.in_(sorted(FLOW_STATES)), led_by_nobody_but(leader))


@functools.cache
def _next_due(leader: str | None) -> Select[Any]:
    held = and_(todos.c.worker_until.is_not(None), todos.c.worker_until > todos.c.next_try_at)
    due = case((held, todos.c.worker_until), else_=todos.c.next_try_at)
    earlier = todos.alias("earlier")
    query = select(func.min(seconds_until(due))).where(
        todos.c.done.is_(False), ~exists().where(_before(earlier)).correlate(todos)
    )
    if leader is not None:
        query = query.join_from(todos, migrations).where(led_by_nobody_but(leader))
    return query


def _before(earlier: FromClause) -> ColumnElement[bool]:
    return and_(
        earlier.c.migration_id == todos.c.migration_id,
        earlier.c.host == todos.c.host,
        earlier.c.id < todos.c.id,
        earlier.c.done.is_(False),
    )


def _free(table: FromClause, leader: str, worker: str) -> ColumnElement[bool]:
    """Handed out to nobody, or that was too long ago, or it was to an earlier life of ``leader``."""
    earlier_life = and_(
        table.c.worker.startswith(f"{leader}#", autoescape=True), table.c.worker != worker
    )
    return or_(table.c.worker.is_(None), table.c.worker_until <= database_now(), earlier_life)


def led_by_nobody_but(leader: str) -> ColumnElement[bool]:
    """No other conductor's lease runs, by the database's clock."""
    return or_(
        migrations.c.leader.is_(None),
        migrations.c.leader == leader,
        migrations.c.lease_until.is_(None),
        migrations.c.lease_until <= database_now(),
    )


def unknown_migration(migration_id: str) -> Refused:
    return Refused(
        "migration.unknown",
        f"there is no migration {migration_id!r}; `migrator migration list` shows those there are "
        "(an id, or at least four characters of its beginning)",
        id=migration_id,
    )


def _conditions(wanted: ListMigrations) -> list[ColumnElement[bool]]:
    table = migrations.c
    conditions: list[ColumnElement[bool]] = []
    if wanted.forced:
        conditions.append(table.mode == Mode.FORCE)
    if wanted.needs_attention:
        conditions.append(table.attention.is_not(None))
    if wanted.active:
        conditions.append(table.finished_at.is_(None))
    if wanted.instance is not None:
        either = (
            table.instance_id == wanted.instance.lower(),
            table.instance_name == wanted.instance,
        )
        conditions.append(or_(*either))
    if wanted.host is not None:
        sides = table.source, table.destination, table.requested_host
        conditions.append(or_(*(side == wanted.host for side in sides)))
    return conditions

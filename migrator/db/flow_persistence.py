"""Where a migration's flow keeps its steps: a persistence backend for taskflow.

One row per step. Writing rows and comparing the epoch are one statement: it locks the migration's row
if that has the leader's epoch and touches nothing otherwise, so that a leader that was replaced can
write nothing more. Every write is a transaction of its own. The end of a step that is harmless to do
again is written with the next one's.

What is not kept, and why: a step's ``progress`` (two writes per step that nobody reads), that a step
has begun (whoever resumes runs it again either way, and every step looks before it acts), and the
flow's own state. taskflow starts a flow that was stored as REVERTED all over again; without that
state it sees from its steps that there is nothing left to do, and raises the failure again. A step
whose undo failed is loaded as one whose undo was interrupted: the next leader tries it again.

Results are JSON. A failure is kept as text and as our error (code, message, facts, class), never as
a pickled exception; :func:`error_of` gives our error back, also after it was stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, literal, literal_column, select, union_all
from sqlalchemy.engine import Connection as SqlConnection
from taskflow import states
from taskflow.persistence import base, models
from taskflow.types.failure import Failure

from migrator.conductor.ports import Lead
from migrator.db.engine import Database
from migrator.db.fencing import led, superseded
from migrator.db.tables import migration_steps, migrations
from migrator.errors import Broken, MigratorError, error_from_dict

FLOW_NAME = "migration"

Columns = dict[str, Any]
_STORED = (
    "state",
    "intention",
    "version",
    "results",
    "revert_results",
    "failure",
    "revert_failure",
    "meta",
)
_WRITTEN = ("position", "name", "uuid", *_STORED)
_NEW: dict[str, Any] = {name: literal_column(f"excluded.{name}") for name in _STORED}
"""What was to be added, as both databases call it."""
_UNKEPT_META = frozenset({"progress", "progress_details"})


class FlowBackend(base.Backend):  # type: ignore[misc]  # taskflow has no types
    """The journal of one migration's flow, as one leader may write it."""

    def __init__(self, database: Database, lead: Lead) -> None:
        super().__init__({})
        self._connection = FlowConnection(self, database, lead)

    def flow_detail(self) -> models.FlowDetail:
        """What an engine resumes from; empty when the flow has not begun."""
        return self._connection.get_flow_details(self._connection.flow_uuid)

    def new_flow(self) -> models.FlowDetail:
        """The same of one that is known not to have begun."""
        return models.FlowDetail(FLOW_NAME, self._connection.flow_uuid)

    def write_later(self, step: str) -> None:
        """The end of this step, when it ends well, is written with what is written next."""
        self._connection.later.add(step)

    def write_now(self) -> None:
        """Whatever was put off. :raises Fenced: ``command.stale``."""
        self._connection.write({})

    def get_connection(self) -> FlowConnection:
        return self._connection

    def close(self) -> None:
        """Nothing is held open: the connections are the database's."""


class FlowConnection(base.Connection):  # type: ignore[misc]  # taskflow has no types
    """What taskflow calls. The flow's uuid is the migration's id, and so is its logbook's."""

    def __init__(self, backend: FlowBackend, database: Database, lead: Lead) -> None:
        self._backend = backend
        self._database = database
        self._lead = lead
        self._stored: dict[str, Columns] = {}
        self._ids: dict[str, Columns] = {}
        """Of each step, what never changes."""
        self._unwritten: dict[str, Columns] = {}
        self.later: set[str] = set()
        """Steps whose ends are put off."""

    @property
    def backend(self) -> FlowBackend:
        return self._backend

    @property
    def flow_uuid(self) -> str:
        """The migration's id."""
        return self._lead.migration_id

    def close(self) -> None:
        """Nothing is held open between calls."""

    # -- writing

    def update_atom_details(self, atom_detail: models.TaskDetail) -> models.TaskDetail:
        """Write what has changed of one step.

        :raises Fenced: ``command.stale``.
        """
        name, columns = atom_detail.name, _columns(atom_detail)
        stored = self._stored.get(name, {})
        if atom_detail.state == states.REVERT_FAILURE:
            # taskflow drops the results now; who tries the undo again needs them.
            columns["results"] = stored.get("results")
        changed = {key for key, value in columns.items() if stored.get(key) != value}
        begun = changed == {"state"} and atom_detail.state == states.RUNNING
        if changed and not begun:
            if atom_detail.state == states.SUCCESS and name in self.later:
                self._unwritten[name] = columns
            else:
                self.write({name: columns})
        return atom_detail

    def update_flow_details(self, flow_detail: models.FlowDetail) -> models.FlowDetail:
        """Write the steps that are new to this flow.

        :raises Fenced: ``command.stale``.
        """
        new = [atom for atom in flow_detail if atom.name not in self._stored]
        first = len(self._stored)
        for offset, atom in enumerate(new):
            self._ids[atom.name] = {"position": first + offset, "uuid": atom.uuid}
        if new:
            self.write({atom.name: _columns(atom) for atom in new})
        return flow_detail

    def write(self, steps: Mapping[str, Columns]) -> None:
        """These steps, and what was put off before them; one statement.

        :raises Fenced: ``command.stale``.
        """
        rows = {**self._unwritten, **steps}
        if not rows:
            return
        write = self._upsert([{"name": name, **self._ids[name], **rows[name]} for name in rows])
        with self._database.writer() as connection:
            if not connection.execute(write).first():
                raise superseded(connection, self._lead, f"writing down {', '.join(rows)}")
        self._stored |= rows
        self._unwritten = {}

    def _upsert(self, rows: Sequence[Columns]) -> Any:
        """Reads the migration's row, which locks it, and makes nothing of it when that has another
        leader's epoch."""
        mine = select(migrations.c.id).where(led(self._lead)).with_for_update().cte("mine")
        kinds = {column.name: column.type for column in migration_steps.columns}
        picked = [
            select(mine.c.id, *(literal(row[name], kinds[name]) for name in _WRITTEN)).where(
                mine.c.id.is_not(None)
            )
            for row in rows
        ]
        add = self._database.insert(migration_steps)
        add = add.from_select(["migration_id", *_WRITTEN], union_all(*picked))
        return add.on_conflict_do_update(
            index_elements=["migration_id", "name"], set_=_NEW
        ).returning(migration_steps.c.name)

    def clear_all(self) -> None:
        """Forget every step, for a flow that begins anew.

        :raises Fenced: ``command.stale``.
        """
        mine = migration_steps.c.migration_id == self.flow_uuid
        with self._database.writer() as connection:
            self._fence(connection, "clearing the flow")
            connection.execute(delete(migration_steps).where(mine))
        self._stored, self._unwritten = {}, {}

    def _fence(self, connection: SqlConnection, what: str) -> None:
        lock = select(migrations.c.id).where(led(self._lead)).with_for_update()
        if connection.execute(lock).first() is None:
            raise superseded(connection, self._lead, what)

    # -- reading

    def get_flow_details(self, fd_uuid: str, lazy: bool = False) -> models.FlowDetail:
        """The flow with its steps, without any when it has not begun."""
        query = select(migration_steps).where(migration_steps.c.migration_id == fd_uuid)
        with self._database.reader() as connection:
            rows = connection.execute(query.order_by(migration_steps.c.position)).all()
        flow = models.FlowDetail(FLOW_NAME, fd_uuid)
        for row in rows:
            self._stored[row.name] = {key: row._mapping[key] for key in _STORED}
            self._ids[row.name] = {"position": row.position, "uuid": row.uuid}
            flow.add(_atom(row._mapping))
        return flow

    def get_atoms_for_flow(self, fd_uuid: str) -> Iterator[models.TaskDetail]:
        yield from self.get_flow_details(fd_uuid)

    def get_atom_details(self, ad_uuid: str) -> models.TaskDetail | None:
        return self.get_flow_details(self.flow_uuid).find(ad_uuid)

    # -- what taskflow's interface asks for besides: a logbook holds one flow

    def get_logbook(self, book_uuid: str, lazy: bool = False) -> models.LogBook:
        book = models.LogBook(FLOW_NAME, uuid=book_uuid)
        book.add(self.get_flow_details(book_uuid))
        return book

    def get_logbooks(self, lazy: bool = False) -> Iterator[models.LogBook]:
        yield self.get_logbook(self.flow_uuid)

    def get_flows_for_book(self, book_uuid: str) -> Iterator[models.FlowDetail]:
        yield self.get_flow_details(book_uuid)

    def save_logbook(self, book: models.LogBook) -> models.LogBook:
        for flow in book:
            self.update_flow_details(flow)
        return book

    def destroy_logbook(self, book_uuid: str) -> None:
        self.clear_all()

    def upgrade(self) -> None:
        """The tables are made by ``migrator-manage db upgrade``."""

    def validate(self) -> None:
        """:raises Fenced: ``command.stale``."""
        with self._database.reader() as connection:
            if connection.execute(select(migrations.c.id).where(led(self._lead))).first() is None:
                raise superseded(connection, self._lead, "opening the flow")


def error_of(failure: Failure) -> MigratorError:
    """The error a step failed with, as ours; ``internal`` for one that is not of our tree."""
    if isinstance(failure.exception, MigratorError):
        return failure.exception
    stored = failure.exception_args[0] if failure.exception_args else None
    if failure.exception is None and isinstance(stored, dict):
        return error_from_dict(stored)
    kind = next(iter(failure), "an error").rpartition(".")[2]
    return Broken("internal", f"{kind}: {failure.exception_str}")


def _columns(atom: models.TaskDetail) -> Columns:
    if not isinstance(atom, models.TaskDetail):
        raise TypeError(f"a flow of steps only: {atom.name} is a {type(atom).__name__}")
    meta = {key: value for key, value in atom.meta.items() if key not in _UNKEPT_META}
    return {
        "state": atom.state,
        "intention": atom.intention,
        "version": atom.version,
        "results": _dump(atom.results),
        "revert_results": _dump(atom.revert_results),
        "failure": _dump(_failure_document(atom.failure)),
        "revert_failure": _dump(_failure_document(atom.revert_failure)),
        "meta": _dump(meta or None),
    }


def _atom(row: Any) -> models.TaskDetail:
    undo_failed = row["state"] == states.REVERT_FAILURE
    return models.TaskDetail.from_dict(
        {
            "name": row["name"],
            "uuid": row["uuid"],
            "state": states.REVERTING if undo_failed else row["state"],
            "intention": row["intention"],
            "version": row["version"],
            "results": _load(row["results"]),
            "revert_results": _load(row["revert_results"]),
            "failure": _load(row["failure"]),
            "revert_failure": None if undo_failed else _load(row["revert_failure"]),
            "meta": _load(row["meta"]) or {},
        }
    )


def _failure_document(failure: Failure | None) -> Columns | None:
    """taskflow's own form, our error as its only argument: an exception's may be anything."""
    if failure is None:
        return None
    return {
        **failure.to_dict(include_args=False),
        "exc_args": [error_of(failure).to_dict()],
        "causes": [],
    }


def _dump(value: object) -> str | None:
    return None if value is None else json.dumps(value, separators=(",", ":"))


def _load(text: str | None) -> Any:
    return None if text is None else json.loads(text)

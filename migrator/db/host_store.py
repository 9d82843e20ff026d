"""Hosts, and what their agents say of them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, bindparam, case, false, func, select, true, update
from sqlalchemy.engine import Connection

from migrator.db.columns import database_now
from migrator.db.engine import Database
from migrator.db.rows import host_from, last_report_from, storable, to_column, to_columns
from migrator.db.tables import hosts
from migrator.errors import Refused
from migrator.model import Host, HostAddresses, HostFacts, HostMark, HostState, LastReport

SILENT_S = 30.0
"""An agent that has not reported for this long counts as down."""


_SPOKE = (
    update(hosts)
    .where(hosts.c.name == bindparam("wanted"))
    .values(
        incarnation=bindparam("incarnation"),
        agent_version=bindparam("agent_version"),
        why_down=bindparam("why_down"),
        seen_at=database_now(),
    )
)


@dataclass(frozen=True)
class _Queries:
    """What is read, with every host's being alive worked out on the way."""

    select: Select[Any]
    by_name: Select[Any]
    last_report: Select[Any]
    marks: Select[Any]
    fleet_mark: Select[Any]


@functools.cache
def _queries(silent_s: float) -> _Queries:
    """Built once: every process of a simulated fleet has a store of its own."""
    # As a subquery it is worked out once and not for every host.
    since = select(database_now(-silent_s)).scalar_subquery()
    heard = and_(hosts.c.why_down == "", hosts.c.seen_at > since)
    # Anything else than a bare boolean would come back as 0 and 1 from SQLite.
    alive = case((heard, true()), else_=false())
    everything = select(*hosts.columns, alive.label("alive"))
    described = case((hosts.c.facts.is_not(None), true()), else_=false())
    plain = [column for column in hosts.columns if column is not hosts.c.facts]
    known = hosts.c.name, hosts.c.revision, hosts.c.claims_generation, hosts.c.why_down
    grown = func.sum(hosts.c.revision), func.sum(hosts.c.claims_generation)
    counted = select(func.count(), *grown).select_from(hosts).subquery("counted")
    silent = select(hosts.c.name, hosts.c.why_down).where(alive.is_(false())).subquery("silent")
    fleet = select(counted, silent).select_from(counted.outerjoin(silent, true()))
    named = hosts.c.name == bindparam("wanted")
    return _Queries(
        select=everything,
        by_name=everything.where(named),
        # Facts are long, and heartbeats are many.
        last_report=select(*plain, alive.label("alive"), described.label("described")).where(named),
        marks=select(*known, alive).order_by(hosts.c.name),
        fleet_mark=fleet.order_by(silent.c.name),
    )


class SqlHostStore:
    """:class:`migrator.conductor.ports.HostStore` in SQL.

    When a host was seen last is told by the database's clock, so that several conductors agree.
    """

    def __init__(self, database: Database, silent_s: float = SILENT_S) -> None:
        self._database = database
        queries = _queries(silent_s)
        self._select, self._by_name = queries.select, queries.by_name
        self._last_report = queries.last_report
        self._marks, self._fleet_mark = queries.marks, queries.fleet_mark

    def register(self, name: str, addresses: HostAddresses) -> None:
        """Make the host known (enabled), or update its addresses."""
        columns = to_columns(addresses)
        insert = self._database.insert(hosts).values(name=name, state=HostState.ENABLED, **columns)
        changed = {**columns, "revision": hosts.c.revision + 1}
        with self._database.writer() as connection:
            connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=changed))

    def heartbeat(
        self,
        name: str,
        incarnation: str,
        agent_version: str,
        why_down: str,
    ) -> LastReport | None:
        """Store that the agent spoke; how it was before, None for an unknown host."""
        spoken = {
            "wanted": name,
            "incarnation": incarnation,
            "agent_version": agent_version,
            "why_down": why_down,
        }

        def work(connection: Connection) -> LastReport | None:
            before = connection.execute(self._last_report, {"wanted": name}).first()
            if before is None:
                return None
            connection.execute(_SPOKE, spoken)
            return last_report_from(before)

        return self._database.write(work) if storable(name) else None

    def set_facts(self, name: str, facts: HostFacts) -> None:
        """What the host is. Nothing for an unknown one."""
        self._set(name, facts=to_column(facts), revision=hosts.c.revision + 1)

    def get(self, name: str) -> Host:
        """:raises Refused: ``host.unknown`` with the names that are known."""
        with self._database.reader() as connection:
            host = self._one(connection, name) if storable(name) else None
            if host is None:
                raise _unknown(connection, name)
            return host

    def list(self, names: Sequence[str] | None = None) -> Sequence[Host]:
        """By name; all of them, or those of ``names`` that there are."""
        query = self._select.order_by(hosts.c.name)
        if names is not None:
            query = query.where(hosts.c.name.in_(filter(storable, names)))
        with self._database.reader() as connection:
            rows = connection.execute(query)
            return [host_from(row) for row in rows]

    def set_state(self, name: str, state: HostState) -> Host:
        """:raises Refused: ``host.unknown``."""
        self._set(name, state=state.value, revision=hosts.c.revision + 1)
        return self.get(name)

    def set_labels(self, name: str, tags: Sequence[str], zone: str | None) -> Host:
        """:raises Refused: ``host.unknown``."""
        labels = {"tags": sorted(set(tags)), "zone": zone}
        self._set(name, **labels, revision=hosts.c.revision + 1)
        return self.get(name)

    def fleet_mark(self) -> object:
        """Equal to an earlier one only if no host's mark has changed since: revisions and generations
        only grow, and hosts are never forgotten."""
        with self._database.reader() as connection:
            return tuple(map(tuple, connection.execute(self._fleet_mark)))

    def marks(self) -> Sequence[HostMark]:
        """Of every host, by name: cheap enough to ask for before every decision."""
        with self._database.reader() as connection:
            return list(map(HostMark._make, connection.execute(self._marks)))

    def _set(self, name: str, **columns: Any) -> None:
        if storable(name):
            with self._database.writer() as connection:
                connection.execute(update(hosts).where(hosts.c.name == name).values(columns))

    def _one(self, connection: Connection, name: str) -> Host | None:
        row = connection.execute(self._by_name, {"wanted": name}).first()
        return None if row is None else host_from(row)


def _unknown(connection: Connection, name: str) -> Refused:
    known = list(connection.execute(select(hosts.c.name).order_by(hosts.c.name)).scalars())
    there_are = f"known hosts: {', '.join(known)}" if known else "no host is known yet"
    return Refused(
        "host.unknown", f"there is no host {name!r}; {there_are}", host=name, known=known
    )

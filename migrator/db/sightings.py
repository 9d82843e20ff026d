"""What hosts said of the domains they have, the newest word of each.

A row stays when its domain goes, without a summary: what was read before may still be on its way. The
next whole inventory of its host takes it away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Select, Text, case, cast, delete, literal, select
from sqlalchemy.engine import Connection

from migrator.conductor.ports import Heard
from migrator.db.engine import Database
from migrator.db.hearing import hear, hear_whole, not_covered
from migrator.db.rows import to_column
from migrator.db.tables import sightings
from migrator.model import DomainSummary

_KEY = ["host", "instance_id"]


class SqlSightings:
    """The part of :class:`migrator.conductor.ports.InstanceStore` that hears."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sightings(self, instance_id: str) -> Mapping[str, DomainSummary]:
        """host -> what that host's inventory last said of it."""
        return self._said(instance_id).get(instance_id, {})

    def all_sightings(self) -> Mapping[str, Mapping[str, DomainSummary]]:
        """The same of every instance that any host has: id -> host -> what it said."""
        return self._said(None)

    def _said(self, instance_id: str | None) -> Mapping[str, Mapping[str, DomainSummary]]:
        query = select(sightings.c.instance_id, sightings.c.host, sightings.c.summary)
        query = query.where(sightings.c.summary.is_not(None))
        if instance_id is not None:
            query = query.where(sightings.c.instance_id == instance_id)
        with self._database.reader() as connection:
            rows = connection.execute(query).all()
        said: dict[str, dict[str, DomainSummary]] = {}
        for one, host, summary in rows:
            said.setdefault(one, {})[host] = msgspec.convert(summary, DomainSummary)
        return said

    def record_sightings(
        self, host: str, domains: Sequence[DomainSummary], heard: Heard
    ) -> Sequence[str]:
        """Replace what ``host`` said, except of those that something newer was said of; the ids whose
        sightings changed, appeared or vanished."""
        said = {domain.id: to_column(domain) for domain in domains}
        known = select(sightings.c.instance_id, sightings.c.summary, sightings.c.word)
        mine = sightings.c.host == host

        def work(connection: Connection) -> Sequence[str]:
            hear_whole(connection, host, heard)
            rows = {row.instance_id: row for row in connection.execute(known.where(mine))}
            newer = {key for key, row in rows.items() if row.word > heard.generation}
            before = {key: row.summary for key, row in rows.items()}
            new = {key: summary for key, summary in said.items() if before.get(key) != summary}
            for key in newer & new.keys():
                del new[key]
            gone = sorted(before.keys() - said.keys() - newer)
            self._replace(connection, host, heard.generation, new)
            if gone:
                connection.execute(delete(sightings).where(mine, sightings.c.instance_id.in_(gone)))
            return sorted(new) + [key for key in gone if before[key] is not None]

        return self._database.write(work)

    def record_sighting(
        self, host: str, instance_id: str, domain: DomainSummary | None, heard: Heard
    ) -> bool:
        """One domain of it; True when that changed anything."""
        row = _row(host, instance_id, domain, heard.generation)
        write = self._newest(self._database.insert(sightings).values(row))

        def work(connection: Connection) -> bool:
            hear(connection, host, heard)
            return connection.execute(write).scalar() == heard.generation

        return self._database.write(work)

    def record_look(
        self, host: str, instance_id: str, domain: DomainSummary | None, word: int
    ) -> bool:
        """The same of what the agent answered; nothing once something newer has been heard."""
        row = _row(host, instance_id, domain, word)
        values = [literal(row[name], sightings.c[name].type) for name in row]
        picked: Select[Any] = not_covered(host, word).with_only_columns(*values)
        write = self._newest(self._database.insert(sightings).from_select(list(row), picked))
        return self._database.write(lambda connection: connection.execute(write).scalar() == word)

    def _newest(self, insert: Any) -> Any:
        """Unless a newer word is stored; answers since which word it is as it is now."""
        new = insert.excluded
        same = cast(sightings.c.summary, Text).is_not_distinct_from(cast(new.summary, Text))
        return insert.on_conflict_do_update(
            index_elements=_KEY,
            set_={
                "summary": new.summary,
                "word": new.word,
                "since": case((same, sightings.c.since), else_=new.word),
            },
            where=sightings.c.word < new.word,
        ).returning(sightings.c.since)

    def _replace(
        self, connection: Connection, host: str, word: int, said: Mapping[str, object]
    ) -> None:
        if not said:
            return
        rows = [
            {"host": host, "instance_id": key, "summary": summary, "word": word, "since": word}
            for key, summary in said.items()
        ]
        insert = self._database.insert(sightings).values(rows)
        new = {name: insert.excluded[name] for name in ("summary", "word", "since")}
        connection.execute(insert.on_conflict_do_update(index_elements=_KEY, set_=new))


def _row(host: str, instance_id: str, domain: DomainSummary | None, word: int) -> dict[str, object]:
    """As it is inserted: that a domain nobody knew of is not there is no change."""
    there = domain is not None
    return {
        "host": host,
        "instance_id": instance_id,
        "summary": to_column(domain),
        "word": word,
        "since": word if there else 0,
    }

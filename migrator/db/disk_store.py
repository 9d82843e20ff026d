"""Recorded disks of instances, and what migrations keep free in pools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, delete, func, select
from sqlalchemy.engine import Connection

from migrator.db.engine import Database
from migrator.db.rows import disk_from, to_columns
from migrator.db.tables import instance_disks, pool_claims
from migrator.model import DiskRecord


class SqlDiskStore:
    """:class:`migrator.conductor.ports.DiskStore` in SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_instance(self, instance_id: str) -> Sequence[DiskRecord]:
        """By target."""
        query = (
            select(instance_disks)
            .where(instance_disks.c.instance_id == instance_id)
            .order_by(instance_disks.c.target)
        )
        with self._database.reader() as connection:
            return [disk_from(row) for row in connection.execute(query)]

    def record(self, instance_id: str, records: Sequence[DiskRecord]) -> None:
        """Replace what is recorded of the instance's disks."""
        rows = [to_columns(record) for record in records]

        def work(connection: Connection) -> None:
            mine = instance_disks.c.instance_id == instance_id
            connection.execute(delete(instance_disks).where(mine))
            if rows:
                connection.execute(self._database.insert(instance_disks).values(rows))

        self._database.write(work)

    def held_bytes(self, host: str, besides: str | None) -> Mapping[str, int]:
        """pool -> bytes that migrations other than ``besides`` keep free there."""
        here = _held(besides).where(pool_claims.c.host == host)
        with self._database.reader() as connection:
            return {row.pool: int(row.held) for row in connection.execute(here)}

    def held_everywhere(self, besides: str | None) -> Mapping[str, Mapping[str, int]]:
        """Host -> the same."""
        found: dict[str, dict[str, int]] = {}
        with self._database.reader() as connection:
            for row in connection.execute(_held(besides)):
                found.setdefault(row.host, {})[row.pool] = int(row.held)
        return found


def _held(besides: str | None) -> Select[Any]:
    held = func.sum(pool_claims.c.bytes).label("held")
    host, pool = pool_claims.c.host, pool_claims.c.pool
    query = select(host, pool, held).group_by(host, pool)
    return query if besides is None else query.where(pool_claims.c.migration_id != besides)

"""Claims, read. They change with a migration's move (effects) or with an instance."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from migrator.db.engine import Database
from migrator.db.rows import claim_from, storable
from migrator.db.tables import claims, hosts, instances
from migrator.errors import Refused
from migrator.model import Claim

_CLAIM = (*claims.columns, instances.c.name.label("instance_name"))


class SqlClaimStore:
    """:class:`migrator.conductor.ports.ClaimStore` in SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> Sequence[Claim]:
        """By host, then in the order they were made."""
        query = select(*_CLAIM).join_from(claims, instances).order_by(claims.c.host, claims.c.id)
        with self._database.reader() as connection:
            return [claim_from(row) for row in connection.execute(query)]

    def on_host(self, host: str) -> tuple[int, Sequence[Claim]]:
        """(claims generation, claims), as they were at one moment.

        :raises Refused: ``host.unknown``.
        """
        generation = hosts.c.claims_generation.label("generation")
        both = hosts.outerjoin(claims, claims.c.host == hosts.c.name).outerjoin(
            instances, instances.c.id == claims.c.instance_id
        )
        query = select(generation, *_CLAIM).select_from(both).where(hosts.c.name == host)
        with self._database.reader() as connection:
            rows = connection.execute(query.order_by(claims.c.id)).all() if storable(host) else []
        if not rows:
            raise Refused("host.unknown", f"there is no host {host!r}", host=host)
        return rows[0].generation, [claim_from(row) for row in rows if row.id is not None]

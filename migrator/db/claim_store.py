"""Claims, read. They change with a migration's move (effects) or with an instance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import and_, delete, exists, or_, select
from sqlalchemy.engine import Connection

from migrator.db.claim_rows import bump_generations
from migrator.db.engine import Database
from migrator.db.rows import claim_from, storable
from migrator.db.tables import claims, hosts, instances, migrations, pool_claims
from migrator.errors import Refused
from migrator.model import Claim, ClaimPurpose

_CLAIM = (*claims.columns, instances.c.name.label("instance_name"))


class SqlClaimStore:
    """:class:`migrator.conductor.ports.ClaimStore` in SQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> Sequence[Claim]:
        """By host, then in the order they were made."""
        query = select(*_CLAIM).join_from(claims, instances).order_by(claims.c.host, claims.c.id)
        with self._database.reader() as connection:
            found = [claim_from(row) for row in connection.execute(query)]
            rooms = connection.execute(select(pool_claims)).all()
        room: dict[tuple[str, str | None], dict[str, int]] = {}
        for row in rooms:
            room.setdefault((row.host, row.migration_id), {})[row.pool] = row.bytes
        nothing: dict[str, int] = {}
        return [
            replace(claim, pool_bytes=room.get((claim.host, claim.migration_id), nothing))
            for claim in found
        ]

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

    def sweep(self) -> Sequence[Claim]:
        """Drop claims of migrations that have ended, and ``use`` claims of instances that do not live
        where they are and are not moving; what was dropped."""
        same_instance = migrations.c.instance_id == claims.c.instance_id
        ended = exists().where(
            migrations.c.id == claims.c.migration_id, migrations.c.finished_at.is_not(None)
        )
        moving = exists().where(same_instance, migrations.c.finished_at.is_(None))
        elsewhere = or_(instances.c.host.is_(None), instances.c.host != claims.c.host)
        strayed = and_(claims.c.purpose == ClaimPurpose.USE.value, elsewhere, ~moving)
        left = select(*_CLAIM).join_from(claims, instances).where(or_(ended, strayed))

        def work(connection: Connection) -> Sequence[Claim]:
            found = [claim_from(row) for row in connection.execute(left.with_for_update(of=claims))]
            ended_ones = select(migrations.c.id).where(migrations.c.finished_at.is_not(None))
            connection.execute(
                delete(pool_claims).where(pool_claims.c.migration_id.in_(ended_ones))
            )
            if found:
                gone = claims.c.id.in_([claim.id for claim in found])
                connection.execute(delete(claims).where(gone))
                bump_generations(connection, frozenset(claim.host for claim in found))
            return found

        return self._database.write(work)

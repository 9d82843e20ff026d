"""Claims, read. They change with a migration's move (effects) or with an instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, exists, insert, or_, select
from sqlalchemy.engine import Connection

from migrator.db.claim_rows import ClaimParts, bump_generations
from migrator.db.engine import Database
from migrator.db.rows import claim_from, placement_from, storable, to_column
from migrator.db.tables import claims, hosts, instances, migrations, pool_claims
from migrator.errors import Refused
from migrator.model import Claim, ClaimPurpose, DomainSummary

_CLAIM = (*claims.columns, instances.c.name.label("instance_name"))


class SqlClaimStore:
    """:class:`migrator.conductor.ports.ClaimStore` in SQL."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

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

    def of_hosts(self, names: Sequence[str] | None) -> Mapping[str, Sequence[Claim]]:
        """host -> its claims, of ``names`` or of all; without the bytes they keep free in pools."""
        query = select(*_CLAIM).join_from(claims, instances).order_by(claims.c.id)
        if names is not None:
            query = query.where(claims.c.host.in_(names))
        found: dict[str, list[Claim]] = {}
        with self._database.reader() as connection:
            for row in connection.execute(query):
                found.setdefault(row.host, []).append(claim_from(row))
        return found

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

    def keep_foreign(self, instance_id: str, there: Mapping[str, DomainSummary]) -> None:
        """What domains of it have that are not its guest becomes nobody else's; what they had before is
        free again. What another claim has already stays that one's."""
        mine = claims.c.instance_id == instance_id
        moving = exists().where(
            migrations.c.instance_id == instance_id, migrations.c.finished_at.is_(None)
        )

        def work(connection: Connection) -> None:
            known = exists().where(instances.c.id == instance_id)
            if not connection.execute(select(known & ~moving)).scalar():
                return
            before = {row.host: row for row in connection.execute(select(claims).where(mine))}
            wanted = {host: _foreign(instance_id, domain) for host, domain in there.items()}
            touched = set()
            for host, row in before.items():
                if row.purpose != ClaimPurpose.FOREIGN:
                    wanted.pop(host, None)
                elif host in wanted and placement_from(row.placement) == there[host].held:
                    del wanted[host]
                else:
                    connection.execute(delete(claims).where(claims.c.id == row.id))
                    touched.add(host)
            for host, values in wanted.items():
                add = insert(claims).values(**values, host=host, created_at=self._now())
                made = connection.execute(add.returning(claims.c.id))
                parts = ClaimParts(self._database, connection, made.scalar_one(), host)
                parts.hold(there[host].held)
                touched.add(host)
            bump_generations(connection, touched)

        self._database.write(work)

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
                bump_generations(connection, frozenset(claim.host for claim in found), by=1)
            return found

        return self._database.write(work)


def _foreign(instance_id: str, domain: DomainSummary) -> dict[str, Any]:
    return {
        "instance_id": instance_id,
        "purpose": ClaimPurpose.FOREIGN.value,
        "migration_id": None,
        "vcpus": domain.vcpus,
        "memory_mib": domain.memory_mib,
        "placement": to_column(domain.held),
    }

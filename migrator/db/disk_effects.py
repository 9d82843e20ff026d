"""Effects of a migration on disks: room kept in pools, and records that follow the copies."""

from __future__ import annotations

from sqlalchemy import delete, func, select, update
from sqlalchemy.engine import Connection

from migrator.db.claim_rows import bump_generations
from migrator.db.engine import Database
from migrator.db.rows import to_column
from migrator.db.tables import instance_disks, pool_claims
from migrator.errors import Transient
from migrator.model import DiskMode, HoldBytes, Migration, MoveDisks


def hold_bytes(
    database: Database, connection: Connection, migration: Migration, effect: HoldBytes
) -> None:
    """:raises Transient: ``claim.conflict``."""
    # The host's row is locked by it: two holds of one host do not pass each other.
    bump_generations(connection, {effect.host})
    drop_bytes(connection, migration.id, effect.host)
    for pool, wanted in sorted(effect.pools.items()):
        here = pool_claims.c.host == effect.host, pool_claims.c.pool == pool
        held = connection.execute(
            select(func.coalesce(func.sum(pool_claims.c.bytes), 0)).where(*here)
        ).scalar_one()
        if int(held) + wanted > effect.room[pool]:
            raise Transient(
                "claim.conflict",
                f"other migrations have taken the room in pool {pool} of {effect.host} meanwhile; "
                "choose again",
                host=effect.host,
                pool=pool,
            )
        row = {
            "host": effect.host,
            "pool": pool,
            "migration_id": migration.id,
            "bytes": wanted,
        }
        connection.execute(database.insert(pool_claims).values(row))


def drop_bytes(connection: Connection, migration_id: str, host: str | None = None) -> None:
    """What a migration kept free, on one host or anywhere; what it copied is in the pools' own figures
    by then."""
    drop = delete(pool_claims).where(pool_claims.c.migration_id == migration_id)
    if host is not None:
        drop = drop.where(pool_claims.c.host == host)
    connection.execute(drop)


def move_disks(connection: Connection, migration: Migration, effect: MoveDisks) -> None:
    """Records name the volumes at the destination from now on; what they stand on came as it was
    planned."""
    for move in effect.disks:
        if move.mode is DiskMode.SHARED or move.pool is None:
            continue
        connection.execute(
            update(instance_disks)
            .where(
                instance_disks.c.instance_id == migration.instance_id,
                instance_disks.c.target == move.target,
            )
            .values(
                source_type="volume",
                pool=move.pool,
                volume=move.volume,
                path=None,
                chain=to_column(list(move.backing)),
            )
        )

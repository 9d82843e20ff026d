"""What a move of a migration changes besides its own row, within the same transaction.

Rows are always locked in this order: the migration, the instance, groups by name, hosts by name, claims,
to-dos.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import case, delete, insert, update
from sqlalchemy.engine import Connection

from migrator.db.claim_rows import ClaimParts, bump_generations, move_group_mark, take_turn
from migrator.db.columns import database_now
from migrator.db.disk_effects import drop_bytes, hold_bytes, move_disks
from migrator.db.engine import Database
from migrator.db.rows import to_column
from migrator.db.tables import claims, instances, todos
from migrator.errors import Transient
from migrator.model import (
    AddTodo,
    ClaimPurpose,
    DiskMode,
    DropClaim,
    Effect,
    HoldBytes,
    Migration,
    MoveDisks,
    SwitchOwner,
    TakeClaim,
    Tell,
)
from migrator.states import MigrationState


@dataclass(frozen=True)
class Effects:
    """Applies effects of one migration in one transaction."""

    database: Database
    connection: Connection
    migration: Migration
    now: datetime

    def apply(self, effects: Sequence[Effect]) -> None:
        """:raises Transient: ``claim.conflict``."""
        for effect in _in_lock_order(effects):
            match effect:
                case SwitchOwner():
                    self._switch_owner(effect)
                case TakeClaim():
                    self._take(effect)
                case DropClaim():
                    self.drop_claims(effect.host)
                case HoldBytes():
                    hold_bytes(self.database, self.connection, self.migration, effect)
                case MoveDisks():
                    move_disks(self.connection, self.migration, effect)
                case AddTodo() | Tell():
                    pass
        self.add_todos([effect for effect in effects if isinstance(effect, AddTodo)])

    def drop_claims(self, host: str | None = None) -> None:
        """Release what this migration reserved, on one host or anywhere."""
        drop = delete(claims).where(claims.c.migration_id == self.migration.id)
        if host is not None:
            drop = drop.where(claims.c.host == host)
        if _may_hold_bytes(self.migration):
            drop_bytes(self.connection, self.migration.id, host)
        dropped = self.connection.execute(drop.returning(claims.c.host)).scalars().all()
        bump_generations(self.connection, frozenset(dropped), by=1)

    def _take(self, effect: TakeClaim) -> None:
        for group, mark in sorted(effect.group_marks):
            if not move_group_mark(self.database, self.connection, group, mark):
                raise Transient(
                    "claim.conflict",
                    f"another guest of group {group} has been given a place meanwhile; choose again",
                    group=group,
                )
        if not take_turn(self.connection, effect.host, effect.claims_generation):
            raise Transient(
                "claim.conflict",
                f"what is claimed on {effect.host} has changed since it was chosen; choose again",
                host=effect.host,
            )
        row = self._claim(effect.host, ClaimPurpose.INCOMING, effect.vcpus, effect.memory_mib)
        row["placement"] = to_column(effect.placement)
        add = self.database.insert(claims).values(row).on_conflict_do_nothing()
        made = self.connection.execute(add.returning(claims.c.id)).scalar()
        if made is None:
            raise Transient(
                "claim.conflict",
                f"{effect.host} still holds a claim for {self.migration.instance_name}; "
                "`migrator claim list` shows what for",
                host=effect.host,
            )
        parts = ClaimParts(self.database, self.connection, made, effect.host)
        missed = parts.hold(effect.placement)
        if missed:
            raise Transient(
                "claim.conflict",
                f"{', '.join(missed)} of {effect.host} is another guest's by now; choose again",
                host=effect.host,
            )

    def _switch_owner(self, effect: SwitchOwner) -> None:
        mine = self.migration.instance_id
        owner = {"host": effect.destination, "updated_at": self.now}
        owned = update(instances).where(instances.c.id == mine).values(owner)
        size = self.connection.execute(
            owned.returning(instances.c.vcpus, instances.c.memory_mib)
        ).one()
        if _may_hold_bytes(self.migration):
            drop_bytes(self.connection, self.migration.id)
        both = {effect.source, effect.destination}
        bump_generations(self.connection, both)
        arrived = claims.c.host == effect.destination
        swap = (
            update(claims)
            .where(claims.c.instance_id == mine, claims.c.host.in_(sorted(both)))
            .values(
                purpose=case((arrived, ClaimPurpose.USE.value), else_=ClaimPurpose.LEAVING.value),
                migration_id=case((arrived, None), else_=self.migration.id),
            )
        )
        swapped = self.connection.execute(swap.returning(claims.c.host)).scalars().all()
        if not effect.in_use:
            self.connection.execute(delete(claims).where(claims.c.instance_id == mine, arrived))
        elif effect.destination not in swapped:
            # A roll-back had released it when the guest was found running there after all.
            row = self._claim(effect.destination, ClaimPurpose.USE, size.vcpus, size.memory_mib)
            self.connection.execute(insert(claims).values({**row, "migration_id": None}))

    def _claim(
        self, host: str, purpose: ClaimPurpose, vcpus: int, memory_mib: int
    ) -> dict[str, Any]:
        return {
            "host": host,
            "instance_id": self.migration.instance_id,
            "purpose": purpose.value,
            "vcpus": vcpus,
            "memory_mib": memory_mib,
            "migration_id": self.migration.id,
            "created_at": self.now,
        }

    def add_todos(self, wanted: Sequence[AddTodo]) -> None:
        if not wanted:
            return
        rows = [
            {
                "migration_id": self.migration.id,
                "kind": todo.kind.value,
                "host": todo.host,
                "payload": to_column(dict(todo.payload)),
                "next_try_at": database_now(todo.delay_s),
                "created_at": self.now,
            }
            for todo in wanted
        ]
        self.connection.execute(insert(todos).values(rows))


def _may_hold_bytes(migration: Migration) -> bool:
    """Only copies need room. One that is being placed anew does not say any more what it held."""
    copies = any(move.mode is DiskMode.COPY for move in migration.disks)
    return copies or migration.state is MigrationState.SCHEDULING


def _in_lock_order(effects: Sequence[Effect]) -> Iterator[Effect]:
    yield from (effect for effect in effects if isinstance(effect, SwitchOwner | MoveDisks))
    on_hosts = [
        effect for effect in effects if isinstance(effect, TakeClaim | DropClaim | HoldBytes)
    ]
    # Stable: what was asked of one host stays in its order (release, then take anew).
    yield from sorted(on_hosts, key=lambda effect: effect.host)

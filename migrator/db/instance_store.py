"""Instances, what hosts said of them, and the claims that keep their place."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    Exists,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    exists,
    or_,
    select,
    update,
)
from sqlalchemy.engine import Connection

from migrator.db.claim_rows import ClaimParts, bump_generations
from migrator.db.engine import Database
from migrator.db.rows import AnyRow, instance_from, placement_from, storable, to_column, to_columns
from migrator.db.sightings import SqlSightings
from migrator.db.tables import claims, group_marks, instance_disks, instances, migrations
from migrator.errors import Refused
from migrator.model import (
    ClaimPurpose,
    Instance,
    InstanceStatus,
    Placement,
    Wishes,
    has_same_parts,
)

_WITH_MIGRATION: Select[tuple[object, ...]] = select(
    *instances.columns, migrations.c.id.label("migration_id")
).select_from(
    instances.outerjoin(
        migrations,
        and_(migrations.c.instance_id == instances.c.id, migrations.c.finished_at.is_(None)),
    )
)
_BY_ID = _WITH_MIGRATION.where(instances.c.id == bindparam("id"))


class SqlInstanceStore(SqlSightings):
    """:class:`migrator.conductor.ports.InstanceStore` in SQL."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        super().__init__(database)
        self._now = now

    def resolve(self, name_or_id: str) -> Instance:
        """By exact UUID or exact name; a name shared with instances that are gone means the other."""
        found = self._find(name_or_id) if storable(name_or_id) else []
        by_id = [one for one in found if one.id == _as_id(name_or_id)]
        present = [one for one in found if one.status is not InstanceStatus.GONE]
        for choice in (by_id, present, found):
            if len(choice) == 1:
                return choice[0]
        if not found:
            raise Refused(
                "instance.unknown",
                f"there is no instance {name_or_id!r}; `migrator instance list` shows those there are",
                instance=name_or_id,
            )
        candidates = [{"id": one.id, "host": one.host} for one in present or found]
        ids = ", ".join(f"{one['id']} on {one['host'] or 'no host'}" for one in candidates)
        raise Refused(
            "instance.ambiguous_name",
            f"several instances are called {name_or_id}: {ids}; use the UUID",
            candidates=candidates,
        )

    def get(self, instance_id: str) -> Instance | None:
        """By id."""
        with self._database.reader() as connection:
            row = connection.execute(_BY_ID, {"id": instance_id}).first()
        return None if row is None else instance_from(row)

    def list(self) -> Sequence[Instance]:
        """By name, then id."""
        query = _WITH_MIGRATION.order_by(instances.c.name, instances.c.id)
        with self._database.reader() as connection:
            return [instance_from(row) for row in connection.execute(query)]

    def idle_without_records(self) -> Sequence[Instance]:
        """Those no disk is recorded of and no migration is unfinished of; ordered as by :meth:`list`."""
        recorded = exists().where(instance_disks.c.instance_id == instances.c.id)
        query = _WITH_MIGRATION.where(migrations.c.id.is_(None), ~recorded)
        with self._database.reader() as connection:
            rows = connection.execute(query.order_by(instances.c.name, instances.c.id))
            return [instance_from(row) for row in rows]

    # -- saving

    def save(self, instance: Instance, use_claim: bool, held: Placement | None = None) -> None:
        """Insert or update it, and keep its ``use`` claim, with the parts of the host it was seen to
        have. What another claim has already stays that one's: `migrator claim audit` tells.

        While a migration of it is unfinished its owner and its claims are the journal's: both are
        left as they are, so that a look at a host from before the switch cannot undo the switch.
        """
        moving = _moving(instance)
        columns = to_columns(instance, leave_out=("id", "migration_id", "wishes", "profile"))
        columns["updated_at"] = self._now()
        kept = {**columns, "host": case((moving, instances.c.host), else_=instance.host)}
        insert = self._database.insert(instances).values(id=instance.id, **columns)

        def work(connection: Connection) -> None:
            connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=kept))
            self._keep_use_claim(connection, instance, use_claim, held)

        self._database.write(work)

    def set_wishes(self, instance_id: str, wishes: Wishes) -> None:
        """The whole of them. Nothing for an unknown instance."""
        change = update(instances).where(instances.c.id == instance_id)
        with self._database.writer() as connection:
            connection.execute(change.values(wishes=to_column(wishes)))

    def set_profile(self, instance_id: str, profile: str | None) -> None:
        """Nothing for an unknown instance."""
        change = update(instances).where(instances.c.id == instance_id)
        with self._database.writer() as connection:
            connection.execute(change.values(profile=profile))

    def group_marks(self, groups: Sequence[str]) -> tuple[tuple[str, int], ...]:
        """(group, mark), by name."""
        query = select(group_marks).where(group_marks.c.name.in_(groups))
        with self._database.reader() as connection:
            marks = {row.name: row.mark for row in connection.execute(query)}
        return tuple((group, marks.get(group, 0)) for group in sorted(set(groups)))

    def groups(self) -> Mapping[str, frozenset[str]]:
        """group -> the ids of the instances in it; those that are gone are in none."""
        query = select(instances.c.id, instances.c.wishes).where(
            cast(instances.c.wishes, Text) != "{}", instances.c.status != InstanceStatus.GONE
        )
        with self._database.reader() as connection:
            rows = connection.execute(query).all()
        found: dict[str, set[str]] = {}
        for instance_id, wished in rows:
            wishes = msgspec.convert(wished, Wishes)
            for group in (*wishes.affinity, *wishes.anti_affinity):
                found.setdefault(group, set()).add(instance_id)
        return {group: frozenset(members) for group, members in found.items()}

    def keep_use_claim(self, instance: Instance, held: Placement) -> None:
        """The parts of its host that it was seen to have become its claim's, unless it is moving."""

        def work(connection: Connection) -> None:
            self._keep_use_claim(connection, instance, True, held)

        self._database.write(work)

    def _keep_use_claim(
        self, connection: Connection, instance: Instance, wanted: bool, held: Placement | None
    ) -> None:
        """Nothing while it moves."""
        found = connection.execute(_use_claims(instance)).all()
        if found[0].moving:
            return
        owner = instance.host if wanted else None
        touched: set[str] = set()
        fits = False
        for row in found:
            if row.id is None:
                continue
            if row.host != owner:
                connection.execute(delete(claims).where(claims.c.id == row.id))
                touched.add(row.host)
            else:
                fits = True
                if self._correct(connection, row, instance, held):
                    touched.add(row.host)
        if owner is not None and not fits:
            self._add_use_claim(connection, instance, owner, held)
            touched.add(owner)
        bump_generations(connection, touched)

    def _correct(
        self, connection: Connection, row: AnyRow, instance: Instance, held: Placement | None
    ) -> bool:
        """Make a use claim say what is so; False when it does already."""
        size: dict[str, object] = {"vcpus": instance.vcpus, "memory_mib": instance.memory_mib}
        claimed = placement_from(row.placement)
        same = held is None or (claimed is not None and has_same_parts(claimed, held))
        changes: dict[str, object] = {}
        if (row.vcpus, row.memory_mib) != (instance.vcpus, instance.memory_mib):
            changes = size
        if not same:
            changes = {**size, "placement": to_column(held)}
        if changes:
            connection.execute(update(claims).where(claims.c.id == row.id).values(changes))
        parts = ClaimParts(self._database, connection, row.id, row.host)
        if not same:
            parts.let_go()
        # Also of an unchanged claim: another one may have let go of what it could not have.
        parts.hold(claimed if same else held)
        return bool(changes)

    def _add_use_claim(
        self, connection: Connection, instance: Instance, owner: str, held: Placement | None
    ) -> None:
        # A claim that a finished migration left there, its clean-up still to be done, becomes this.
        use = {
            "purpose": ClaimPurpose.USE.value,
            "migration_id": None,
            "vcpus": instance.vcpus,
            "memory_mib": instance.memory_mib,
            "placement": to_column(held),
        }
        insert = self._database.insert(claims).values(
            host=owner, instance_id=instance.id, created_at=self._now(), **use
        )
        key = ["host", "instance_id"]
        write = insert.on_conflict_do_update(index_elements=key, set_=use).returning(claims.c.id)
        parts = ClaimParts(
            self._database, connection, connection.execute(write).scalar_one(), owner
        )
        parts.let_go()
        parts.hold(held)

    def _find(self, name_or_id: str) -> Sequence[Instance]:
        same = or_(instances.c.id == _as_id(name_or_id), instances.c.name == name_or_id)
        query = _WITH_MIGRATION.where(same).order_by(instances.c.id)
        with self._database.reader() as connection:
            return [instance_from(row) for row in connection.execute(query)]


def _moving(instance: Instance) -> Exists:
    """Whether a migration of it is unfinished."""
    unfinished = migrations.c.instance_id == instance.id, migrations.c.finished_at.is_(None)
    return exists().where(*unfinished).correlate(None)


def _use_claims(instance: Instance) -> Select[Any]:
    """Its ``use`` claims, each with whether it is moving; without any one row that says only that."""
    one = select(_moving(instance).label("moving")).subquery("one")
    mine = and_(claims.c.instance_id == instance.id, claims.c.purpose == ClaimPurpose.USE)
    return select(one.c.moving, *claims.columns).select_from(one.outerjoin(claims, mine))


def _as_id(name_or_id: str) -> str:
    try:
        return str(uuid.UUID(name_or_id)) if len(name_or_id) == 36 else ""
    except ValueError:
        return ""

"""What claims are made of in the tables, beside their own rows.

CPUs and devices that are one claim's alone are rows of their own, unique within their host: that two
claims have the same one cannot be written. They go with the claim. Quantities are compared with the
host's claims generation, which grows with every change: by :data:`TAKING` with what may take
something, by one with what only gives back. A place that was chosen before something was given back
may be claimed all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, delete, update
from sqlalchemy.engine import Connection

from migrator.db.engine import Database
from migrator.db.tables import claim_cpus, claim_devices, group_marks, hosts
from migrator.model import ExclusiveUse, Placement

TAKING = 1 << 20
"""More is never given back of a host between two looks at it; if it were, somebody would look again."""


def bump_generations(connection: Connection, names: Collection[str], by: int = TAKING) -> None:
    """Whoever chose by what these hosts had claimed must look again; not for what was given back
    (``by`` 1)."""
    if names:
        grown = {"claims_generation": hosts.c.claims_generation + by}
        connection.execute(update(hosts).where(hosts.c.name.in_(sorted(names))).values(grown))


def take_turn(connection: Connection, host: str, generation: int) -> bool:
    """Claim next on this host, as it was at ``generation``; False when something was taken since."""
    there, taken_once_more = hosts.c.claims_generation, (generation // TAKING + 1) * TAKING
    same = hosts.c.name == host, there >= generation, there < taken_once_more
    grown = update(hosts).where(*same).values(claims_generation=there + TAKING)
    return connection.execute(grown).rowcount == 1


def move_group_mark(database: Database, connection: Connection, group: str, mark: int) -> bool:
    """On by one; False when it is not ``mark`` any more. A group nobody has claimed for is at 0."""
    if mark == 0:
        first = database.insert(group_marks).values(name=group, mark=1).on_conflict_do_nothing()
        return connection.execute(first.returning(group_marks.c.mark)).first() is not None
    same = group_marks.c.name == group, group_marks.c.mark == mark
    return connection.execute(update(group_marks).where(*same).values(mark=mark + 1)).rowcount == 1


@dataclass(frozen=True)
class ClaimParts:
    """CPUs and devices of one claim."""

    database: Database
    connection: Connection
    claim_id: int
    host: str

    def hold(self, placement: Placement | None) -> list[str]:
        """Make those of the placement this claim's; what others have already, in words."""
        if placement is None:
            return []
        cpus, devices = dict(_cpus(placement)), dict(_devices(placement))
        had_cpus = cpus.keys() - self._insert(claim_cpus, "cpu", cpus)
        had_devices = devices.keys() - self._insert(claim_devices, "address", devices)
        return [
            *(f"CPU {cpu}" for cpu in sorted(had_cpus)),
            *(f"device {address}" for address in sorted(had_devices)),
        ]

    def let_go(self) -> None:
        """None is this claim's any more."""
        for table in (claim_cpus, claim_devices):
            mine = table.c.claim_id == self.claim_id
            self.connection.execute(delete(table).where(mine))

    def _insert(
        self, table: Table, key: str, wanted: Mapping[Any, ExclusiveUse]
    ) -> frozenset[object]:
        if not wanted:
            return frozenset()
        rows = [
            {"host": self.host, key: each, "claim_id": self.claim_id, "use": use.value}
            for each, use in sorted(wanted.items())
        ]
        add = self.database.insert(table).values(rows).on_conflict_do_nothing()
        return frozenset(self.connection.execute(add.returning(table.c[key])).scalars())


def _cpus(placement: Placement) -> Iterator[tuple[int, ExclusiveUse]]:
    yield from ((cpu, ExclusiveUse.BLOCKED) for cpu in placement.blocked_cpus)
    if placement.emulator_cpu is not None:
        yield placement.emulator_cpu, ExclusiveUse.EMULATOR
    yield from ((cpu, ExclusiveUse.GIVEN) for _, cpu in placement.pins)


def _devices(placement: Placement) -> Iterator[tuple[str, ExclusiveUse]]:
    yield from ((address, ExclusiveUse.BLOCKED) for address in placement.blocked_devices)
    yield from ((given.address, ExclusiveUse.GIVEN) for given in placement.devices)

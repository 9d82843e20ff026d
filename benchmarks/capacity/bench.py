"""One conductor with its fleets, and what is asked of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from benchmarks.capacity.conductors import ConductorHere, ConductorPart, ConductorProcess, Heard
from benchmarks.capacity.fleets import (
    HOSTS_EACH,
    FleetProcess,
    FleetSide,
    Part,
    Told,
    in_this_process,
    place_of,
)
from benchmarks.capacity.wires import AWAY_S, Wires, open_bus
from migrator.conductor.rpcapi import ConductorClient
from migrator.db import schema
from migrator.db.engine import Database
from migrator.db.stores import Patience, open_stores
from migrator.errors import MigratorError, Transient
from migrator.messages import Migrate
from migrator.model import Migration

FLEETS = 2
PATIENCE_S = 1800.0
ASKERS = 8
TRIES = 10
"""Of asking, where the machine is too busy to answer in time."""
TOO_BUSY = frozenset({"host.agent_down"})


class Bench:
    """Started whole: every guest is known and every host alive."""

    def __init__(self, wires: Wires, copy_s: float) -> None:
        self.guests, self.apart = wires.migrations, wires.apart
        self._fleets = FLEETS if self.apart else 1
        schema.upgrade(wires.database)
        now: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731
        self.stores = open_stores(Database(wires.database), now, Patience(AWAY_S))
        parts = [Part(each, self._fleets, self.guests, copy_s) for each in range(self._fleets)]
        self.conductor: ConductorPart
        self._apart: list[FleetProcess] = []
        self._here: list[FleetSide] = []
        bus = open_bus(wires, "bench-asker")
        if self.apart:
            self.conductor = ConductorProcess(wires)
            self._apart = [FleetProcess(wires, part) for part in parts]
            for fleet in self._apart:
                fleet.ready()
        else:
            self.conductor = ConductorHere(wires, bus)
            self._here = [in_this_process(bus, part) for part in parts]
        self._client = ConductorClient(bus)
        self.until(lambda: len(self.stores.instances.list()) >= self.guests, "guests are known")
        hosts, all_of_them = self.stores.hosts.list, HOSTS_EACH * self._fleets
        self.until(lambda: sum(each.alive for each in hosts()) == all_of_them, "hosts are alive")

    def ask(self, every_s: float = 0.0) -> None:
        """Every guest moves to the host after its own.

        :param every_s: between two that are asked for; 0 asks as fast as it is answered."""
        began = time.monotonic()

        def one(number: int) -> None:
            time.sleep(max(began + number * every_s - time.monotonic(), 0.0))
            there = place_of(number, self._fleets)[1]
            wanted = Migrate(instance=f"g{number}", host=there, request_id=f"ask-{number}")
            for left in reversed(range(TRIES)):
                try:
                    self._client.migrate(wanted)
                except MigratorError as error:
                    if not left or not (isinstance(error, Transient) or error.code in TOO_BUSY):
                        raise
                else:
                    return

        with ThreadPoolExecutor(ASKERS) as askers:
            list(askers.map(one, range(self.guests)))

    def states(self) -> dict[str, int]:
        """Of the unfinished; ended ones by :meth:`ended`."""
        found: dict[str, int] = {}
        for each in self.stores.migrations.line():
            found[each.state] = found.get(each.state, 0) + 1
        return found

    def ended(self) -> dict[str, int]:
        """State -> how many ended in it."""
        return dict(Counter(str(each.state) for each in self._records()))

    def switched(self) -> dict[str, datetime]:
        """Guest -> when the record says that it moved."""
        return {each.instance_id: each.switched_at for each in self._records() if each.switched_at}

    def _records(self) -> Sequence[Migration]:
        return self.stores.migrations.ended_since(None, (), self.guests)

    def until(self, so: Callable[[], bool], what: str) -> float:
        """Seconds it took."""
        began = time.monotonic()
        while not so():
            if time.monotonic() - began > PATIENCE_S:
                raise SystemExit(f"waited in vain until {what}: {self.states()}")
            time.sleep(0.5)
        return time.monotonic() - began

    def kill(self) -> None:
        """Leave nothing behind that runs."""
        for each in self._apart:
            each.kill()
        self.conductor.kill()

    def end(self) -> tuple[Told, Heard]:
        """Let everything go; what was told, and what was heard of it."""
        told = Told()
        for each in [*(fleet.end() for fleet in self._apart), *(one.told for one in self._here)]:
            told.arrived |= each.arrived
            told.read |= each.read
            told.cpu_s += each.cpu_s
        return told, self.conductor.end()

"""migrator-conductor: the composition of one conductor, and its process."""

from __future__ import annotations

from collections.abc import Sequence

from migrator import config, service
from migrator.compute_agent.rpcapi import AgentClient
from migrator.conductor.conductor import Conductor, Outside
from migrator.conductor.rpcapi import ConductorClient
from migrator.conductor.settings import ConductorSettings
from migrator.db import file_lock, schema
from migrator.db.clock import DatabaseClock
from migrator.db.engine import Database
from migrator.db.stores import Patience, open_stores
from migrator.messages import CONDUCTOR_METHODS, CONDUCTOR_TOPIC, RPC_VERSION
from migrator.rpc import Bus
from migrator.threads import SystemClock, Threads


class ConductorService:
    """A conductor that answers on the bus."""

    def __init__(self, settings: ConductorSettings, bus: Bus, database: Database) -> None:
        clock = DatabaseClock(database, SystemClock())
        stores = open_stores(database, clock.now, Patience(settings.host_down_s))
        outside = Outside(AgentClient(bus), ConductorClient(bus), clock, Threads())
        self._conductor = Conductor(settings, stores, outside)
        self._server = bus.server(
            CONDUCTOR_TOPIC,
            settings.name,
            CONDUCTOR_METHODS,
            self._conductor.endpoint,
            version=RPC_VERSION,
        )

    def start(self) -> None:
        self._conductor.start()
        self._server.start()

    def describe(self) -> list[str]:
        """What the conductor has in hand."""
        return self._conductor.describe()

    def stop(self) -> None:
        self._server.stop()
        self._conductor.stop()


class _Held:
    """The database, when it is a file, which is for one process only."""

    def __init__(self, lock: file_lock.FileLock) -> None:
        self._lock = lock

    def stop(self) -> None:
        self._lock.release()


def build(settings: ConductorSettings, bus: Bus, database: Database) -> ConductorService:
    """A conductor ready to start."""
    return ConductorService(settings, bus, database)


def main() -> int:
    """The console script."""
    return service.entry(_run)


def _run(argv: Sequence[str]) -> int:
    conf = config.load(argv, "migrator-conductor")

    def start() -> Sequence[service.Stoppable]:
        lock = file_lock.hold(conf.database.connection)
        schema.check(conf.database.connection)
        bus = Bus.open(conf, conf.transport_url)
        conductor = build(config.conductor_settings(conf), bus, Database(conf.database.connection))
        conductor.start()
        return [_Held(lock), conductor]

    service.run("migrator-conductor", conf, start)

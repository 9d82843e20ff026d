"""migrator-standalone: conductor, API and the agent of every configured host in one process.

The same parts as in a distributed deployment, on ``inproc://`` and SQLite. Nothing here decides
anything: it builds the parts and starts them.
"""

from __future__ import annotations

from collections.abc import Sequence

from oslo_config import cfg

from migrator import config, service
from migrator.api import daemon as api_daemon
from migrator.compute_agent import daemon as agent_daemon
from migrator.conductor import daemon as conductor_daemon
from migrator.db import file_lock, schema
from migrator.db.engine import Database
from migrator.rpc import Bus


class _Resources:
    """What is let go last."""

    def __init__(self, lock: file_lock.FileLock, bus: Bus, database: Database) -> None:
        self._lock = lock
        self._bus = bus
        self._database = database

    def stop(self) -> None:
        self._bus.close()
        self._database.close()
        self._lock.release()


def start(conf: cfg.ConfigOpts) -> Sequence[service.Stoppable]:
    """Start every part, in an order in which each finds what it needs.

    A database that does not exist yet is made; one of another release is refused, because upgrading is
    a decision.

    :raises Refused: ``database.in_use``, ``config.invalid``.
    :raises Transient: ``database.revision``.
    """
    url = conf.database.connection
    lock = file_lock.hold(url)
    if schema.current(url) is None:
        schema.upgrade(url)
    schema.check(url)
    bus, database = Bus.open(conf, conf.transport_url), Database(url)
    conductor = conductor_daemon.build(config.conductor_settings(conf), bus, database)
    conductor.start()
    agents = [
        agent_daemon.build(config.agent_settings(conf, host), bus) for host in config.hosts(conf)
    ]
    for agent in agents:
        agent.start()
    api = api_daemon.build(config.api_settings(conf), bus)
    api.start()
    return [_Resources(lock, bus, database), conductor, *agents, api]


def main() -> int:
    """The console script."""
    return service.entry(_run)


def _run(argv: Sequence[str]) -> int:
    conf = config.load(argv, "migrator-standalone")
    service.run("migrator-standalone", conf, lambda: start(conf))

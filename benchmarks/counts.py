"""How many agent calls and SQL statements one successful migration takes, progress apart.

The service's own parts are composed here in one process over real hosts, so that both can be counted
where they are made.
"""

from __future__ import annotations

import re
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from typing import Any

from oslo_config import cfg

from benchmarks.lab import Lab, LabHost, until
from benchmarks.report import Row
from migrator.compute_agent.agent import Agent
from migrator.compute_agent.libvirt_hypervisor import LibvirtHypervisor
from migrator.compute_agent.rpcapi import AgentClient
from migrator.compute_agent.settings import AgentSettings
from migrator.conductor.conductor import Conductor, Outside
from migrator.conductor.rpcapi import ConductorClient
from migrator.conductor.settings import ConductorSettings
from migrator.db import schema
from migrator.db.engine import Database
from migrator.db.stores import Patience, open_stores
from migrator.messages import (
    AGENT_METHODS,
    AGENT_TOPIC,
    CONDUCTOR_METHODS,
    CONDUCTOR_TOPIC,
    Empty,
    Migrate,
    MigrationRef,
)
from migrator.model import HostAddresses
from migrator.rpc import Bus
from migrator.threads import SystemClock, Threads

GUEST = "count1"
TABLE = re.compile(r"\b(?:FROM|INTO|UPDATE)\s+(\w+)")
ROUNDS = 5
QUIET_S = 2.0
"""Without a statement: the migration's last one has been."""
HEARTBEAT_S = 3600.0
"""So that no heartbeat's statements are counted."""


class CountingAgents:
    """Every agent call, counted by name."""

    def __init__(self, agents: AgentClient) -> None:
        self._agents = agents
        self._lock = threading.Lock()
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call: Callable[..., Any] = getattr(self._agents, name)

        def counted(*words: Any) -> Any:
            with self._lock:
                self.calls[name] += 1
            return call(*words)

        return counted


class Callers:
    """Every statement, counted by the code that asked for it, in order of first use."""

    def __init__(self) -> None:
        self.statements: Counter[str] = Counter()

    def note(self, statement: str) -> None:
        frames = [
            f"{path.partition('/migrator/')[2].removesuffix('.py')}:{frame.name}"
            for frame in traceback.extract_stack()
            if "/migrator/" in (path := frame.filename) and "/db/" not in path
        ]
        table = TABLE.search(statement)
        words = statement.split(maxsplit=1)[0], table.group(1) if table else "?"
        self.statements[f"{' '.join(words):28} {' > '.join(frames[-3:])}"] += 1


def measure_counts() -> list[Row]:
    """The worst of a few migrations."""
    with Lab(hosts=2, services=False) as lab, tempfile.TemporaryDirectory() as folder:
        lab.guest(GUEST, lab.hosts[0], "--memory", "128")
        url = f"sqlite:///{folder}/migrator.sqlite"
        schema.upgrade(url)
        database = Database(url)
        bus = Bus.open(cfg.CONF, "inproc:///counts")
        agents = CountingAgents(AgentClient(bus))
        clock, threads = SystemClock(), Threads()
        settings = ConductorSettings(name="counts", encryption="off", lease_s=3600.0)
        client = ConductorClient(bus)
        stores = open_stores(database, clock.now, Patience(HEARTBEAT_S))
        conductor = Conductor(settings, stores, Outside(agents, client, clock, threads))
        server = bus.server(CONDUCTOR_TOPIC, "counts", CONDUCTOR_METHODS, conductor.endpoint)
        conductor.start()
        server.start()
        for host in lab.hosts:
            start_agent(bus, host)
        until(lambda: known(client), f"{GUEST} to be known")
        most_calls, most_statements = 0, 0
        callers = Callers()
        database.hear = callers.note
        for number in range(ROUNDS):
            agents.calls.clear()
            callers.statements.clear()
            before = database.statements
            move(conductor, client, lab.hosts[(number + 1) % 2].name)
            be_quiet(database)
            most_statements = max(most_statements, database.statements - before)
            most_calls = max(most_calls, sum(agents.calls.values()))
        names = ", ".join(f"{name} {count}" for name, count in sorted(agents.calls.items()))
        print(f"agent calls of the last one: {names}")
        print("statements of the last one:")
        for caller, count in dict(callers.statements).items():
            print(f"  {count:2} {caller}")
    return [
        Row("agent calls per migration", str(most_calls), "<= 12", most_calls <= 12),
        Row(
            "SQL statements per migration",
            str(most_statements),
            "<= 80, aim 40",
            most_statements <= 80,
        ),
    ]


def be_quiet(database: Database) -> None:
    """Until the last events are heard and the instance is settled."""
    seen = -1
    while seen != database.statements:
        seen = database.statements
        time.sleep(QUIET_S)


def start_agent(bus: Bus, host: LabHost) -> None:
    addresses = HostAddresses(
        host.libvirt_uri,
        host.peer_uri,
        host.address,
        host.migration_address,
        host.migration_address,
    )
    agent = Agent(
        LibvirtHypervisor(host.libvirt_uri),
        SystemClock(),
        Threads(),
        ConductorClient(bus),
        AgentSettings(host.name, addresses, encryption="off", heartbeat_s=HEARTBEAT_S),
    )
    bus.server(AGENT_TOPIC, host.name, AGENT_METHODS, agent.endpoint).start()
    agent.start()


def known(client: ConductorClient) -> bool:
    hosts = client.list_hosts(Empty()).hosts
    ready = len(hosts) == 2 and all(host.alive and host.cpus for host in hosts)
    return ready and bool(client.list_instances(Empty()).instances)


def move(conductor: Conductor, client: ConductorClient, host: str) -> None:
    """One migration; looks at its end by a read that is not counted in a loop."""
    ended = threading.Event()
    journal = conductor.context.stores.journal
    finish: Callable[..., Any] = journal.finish_todo

    def watch(*words: Any, **changes: Any) -> Any:
        migration = finish(*words, **changes)
        if migration is not None and migration.finished_at is not None:
            ended.set()
        return migration

    journal.finish_todo = watch  # type: ignore[method-assign]
    try:
        moving = client.migrate(Migrate(instance=GUEST, host=host))
        if not ended.wait(60):
            state = client.show(MigrationRef(id=moving.id))
            raise SystemExit(f"the migration did not end: {state}")
    finally:
        journal.finish_todo = finish  # type: ignore[method-assign]

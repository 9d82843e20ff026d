"""A whole service in one process: real conductor, real agents, our bus, SQLite; only libvirt is fake.

with ServiceUnderTest(tmp_path, bus) as service:
    guest = service.add_guest("h1", "web1")
    migration = service.migrate("web1", host="h2")
    assert service.wait(migration.id).state == "completed"
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from migrator.compute_agent.agent import Agent
from migrator.compute_agent.rpcapi import AgentApi, AgentClient
from migrator.compute_agent.settings import AgentSettings
from migrator.conductor.conductor import Conductor, Outside
from migrator.conductor.ports import Stores
from migrator.conductor.rpcapi import ConductorClient
from migrator.conductor.settings import ConductorSettings
from migrator.db import schema
from migrator.db.engine import Database
from migrator.db.migration_store import TODO_LEASE_S
from migrator.db.stores import Patience, open_stores
from migrator.messages import (
    AGENT_METHODS,
    AGENT_TOPIC,
    CONDUCTOR_METHODS,
    CONDUCTOR_TOPIC,
    Empty,
    ListEvents,
    Migrate,
    MigrationRef,
    MigrationView,
    NamedInstance,
)
from migrator.model import DomainState, HostAddresses
from migrator.rpc import Bus
from migrator.states import TERMINAL
from migrator.threads import SystemClock, Threads
from tests.fakes.hypervisor import FAST, FakeDisk, FakeFleet, FakeGuest, FakeHypervisor

PATIENCE_S = 90.0


class ServiceUnderTest:
    """Everything started on entry, stopped on exit; ``fleet`` is the test's hand on the hosts."""

    def __init__(
        self,
        tmp_path: Path,
        bus: Bus,
        hosts: int = 2,
        settings: ConductorSettings | None = None,
        todo_lease_s: float = TODO_LEASE_S,
        heartbeat_s: float = 0.5,
    ) -> None:
        self.bus = bus
        self._heartbeat_s = heartbeat_s
        self.clock = SystemClock()
        self.concurrency = Threads()
        self.fleet = FakeFleet(self.clock, self.concurrency, timing=FAST)
        for number in range(1, hosts + 1):
            self.fleet.add_host(f"h{number}")
        self.fleet.share_pool("shared", list(self.fleet.hosts))
        self.settings = settings or ConductorSettings(name="c1", encryption="off", lease_s=3.0)
        url = f"sqlite:///{tmp_path}/migrator.sqlite"
        schema.upgrade(url)
        self.database = Database(url)
        self.agents: dict[str, tuple[Agent, Any]] = {}
        self.wrap_stores: Callable[[Stores], Stores] = lambda stores: stores
        """Puts faults between the conductor and its database."""
        self.wrap_agents: Callable[[AgentApi], AgentApi] = lambda agents: agents
        """Puts faults between the conductor and the agents."""
        self.patience = Patience(self.settings.host_down_s, todo_lease_s)
        self.client = ConductorClient(bus)

    def __enter__(self) -> ServiceUnderTest:
        self.start_conductor()
        for name in self.fleet.hosts:
            self.start_agent(name)
        self.until(lambda: len(self.client.list_hosts(Empty()).hosts) == len(self.fleet.hosts))
        self.until(lambda: all(host.alive for host in self.client.list_hosts(Empty()).hosts))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name in list(self.agents):
            self.stop_agent(name)
        self.stop_conductor()
        self.database.close()

    # -- parts

    def start_conductor(self) -> None:
        stores = self.wrap_stores(open_stores(self.database, self.clock.now, self.patience))
        agents = self.wrap_agents(AgentClient(self.bus))
        outside = Outside(agents, self.client, self.clock, self.concurrency)
        self.conductor = Conductor(self.settings, stores, outside)
        self._server = self.bus.server(
            CONDUCTOR_TOPIC, self.settings.name, CONDUCTOR_METHODS, self.conductor.endpoint
        )
        self.conductor.start()
        self._server.start()

    def stop_conductor(self) -> None:
        """Its loops and its endpoint; flows it leads go on until they are fenced, like a process that
        was frozen and wakes up."""
        self._server.stop()
        self.conductor.stop()

    def start_agent(self, name: str) -> None:
        settings = AgentSettings(
            name, addresses(name), encryption="off", heartbeat_s=self._heartbeat_s
        )
        agent = Agent(
            self.fleet.hosts[name],
            self.clock,
            self.concurrency,
            ConductorClient(self.bus),
            settings,
        )
        server = self.bus.server(AGENT_TOPIC, name, AGENT_METHODS, agent.endpoint)
        server.start()
        agent.start()
        self.agents[name] = (agent, server)

    def stop_agent(self, name: str) -> None:
        agent, server = self.agents.pop(name)
        server.stop()
        agent.stop()

    # -- what a test does

    def add_guest(self, host: str, name: str, **fields: Any) -> str:
        """A running guest the conductor knows; its id."""
        fields.setdefault("persistent", True)
        guest = replace(FakeGuest(name, str(uuid.uuid4())), **fields)
        self.host(host).add_guest(guest)
        self.until(lambda: self.instance(guest.id) is not None)
        return guest.id

    def migrate(self, instance: str, **fields: Any) -> MigrationView:
        return self.client.migrate(Migrate(instance=instance, **fields))

    def show(self, migration_id: str) -> MigrationView:
        return self.client.show(MigrationRef(id=migration_id))

    def wait(self, migration_id: str) -> MigrationView:
        """Until it has ended."""
        try:
            self.until(lambda: self.show(migration_id).state in set(TERMINAL))
        except AssertionError:
            raise AssertionError("\n".join(self.events(migration_id))) from None
        return self.show(migration_id)

    def wait_for_state(self, migration_id: str, state: str) -> None:
        self.until(lambda: self.show(migration_id).state == state)

    def instance(self, name: str) -> Any:
        known = self.client.list_instances(Empty()).instances
        return next((each for each in known if name in (each.name, each.id)), None)

    def host(self, name: str) -> FakeHypervisor:
        return self.fleet.hosts[name]

    def events(self, migration_id: str) -> list[str]:
        """The history, one line each."""
        answer = self.client.events(ListEvents(id=migration_id))
        return [f"{event.kind}: {event.text}" for event in answer.events]

    def claims(self) -> list[tuple[str, str, str]]:
        """(host, instance, purpose) of everything reserved."""
        return sorted(
            (claim.host, claim.instance, str(claim.purpose))
            for claim in self.client.list_claims(Empty()).claims
        )

    def running_on(self, instance_id: str) -> list[str]:
        """Where the guest executes, by the hosts themselves."""
        return [
            name
            for name, host in self.fleet.hosts.items()
            if host.view(instance_id).state is DomainState.RUNNING
        ]

    def known_on(self, instance_id: str) -> list[str]:
        """Which hosts have any domain of it."""
        return [
            name
            for name, host in self.fleet.hosts.items()
            if host.view(instance_id).state is not DomainState.ABSENT
        ]

    def show_instance(self, name: str) -> Any:
        return self.client.show_instance(NamedInstance(instance=name))

    def until(self, so: Callable[[], bool]) -> None:
        """Look until it is so."""
        deadline = time.monotonic() + PATIENCE_S
        while not so():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.02)


def addresses(name: str) -> HostAddresses:
    """Of a fake host."""
    number = int(name.removeprefix("h"))
    return HostAddresses(
        libvirt_uri="qemu:///system",
        peer_uri=f"qemu+tcp://{name}/system",
        control_address=f"10.0.0.{number}",
        migration_address=f"10.1.0.{number}",
        disk_address=f"10.1.0.{number}",
    )


SHARED_DISK = (FakeDisk("shared", "web1-vda"),)

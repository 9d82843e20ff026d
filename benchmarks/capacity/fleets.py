"""The simulated side: real agents over fake hosts, so many processes of them as are wanted.

What is simulated reads its hosts as seldom as it reports, so that a fleet of a thousand transfers does
not take the CPU that it is to leave to the conductor.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.capacity.wires import Wires, open_bus
from migrator.compute_agent.agent import Agent
from migrator.compute_agent.monitor import loop
from migrator.compute_agent.ports import HypervisorEvent, LifecycleEvent
from migrator.compute_agent.progress import ProgressSender
from migrator.compute_agent.settings import AgentSettings
from migrator.conductor.rpcapi import ConductorClient
from migrator.messages import AGENT_METHODS, AGENT_TOPIC, RPC_VERSION, TransferProgress
from migrator.model import HostAddresses, HostFacts
from migrator.rpc import Bus
from migrator.threads import SystemClock, Threads
from tests.fakes.hypervisor import FakeFleet, FakeGuest, FakeTiming

HOSTS_EACH = 10
"""Of a fleet; its guests move among them."""
FACTS = HostFacts(9_000_000, 7_002_022, "x86_64", 64, 4_194_304, networks=("default",))
INSTANT = FakeTiming(0.0, 0.0, 0.0, 0.2, 0.4, 0.02, 0.0)
PROGRESS_S = 5.0
ARRIVED = ("resumed", "migrated")

Reading = tuple[str, int, int]
"""Migration, attempt and number of a progress event."""


@dataclass(frozen=True)
class Part:
    """Which guests a fleet has: every ``of``-th, from ``number`` on."""

    number: int
    of: int
    guests: int
    copy_s: float

    @property
    def hosts(self) -> Sequence[str]:
        return [f"h{self.number}-{host}" for host in range(HOSTS_EACH)]

    @property
    def mine(self) -> Sequence[int]:
        return range(self.number, self.guests, self.of)


def place_of(guest: int, fleets: int) -> tuple[str, str]:
    """Where a guest starts, and where it moves to."""
    number, turn = guest % fleets, guest // fleets
    return f"h{number}-{turn % HOSTS_EACH}", f"h{number}-{(turn + 1) % HOSTS_EACH}"


@dataclass
class Told:
    """What a fleet has seen and said."""

    arrived: dict[str, datetime] = field(default_factory=dict)
    """Guest -> when it was resumed at its destination."""
    read: dict[Reading, float] = field(default_factory=dict)
    """Progress event -> the machine's monotonic time when it was read at the host."""
    cpu_s: float = 0.0


def _listen(told: Told) -> None:
    """Have every reading of this process's agents written down."""
    offer: Callable[[ProgressSender, TransferProgress], None] = ProgressSender.offer

    def offered(sender: ProgressSender, progress: TransferProgress) -> None:
        reading = progress.migration_id, progress.attempt, progress.sequence
        told.read[reading] = time.monotonic()
        offer(sender, progress)

    ProgressSender.offer = offered  # type: ignore[method-assign, assignment]


class FleetSide:
    """Agents over fake hosts."""

    def __init__(self, bus: Bus, part: Part) -> None:
        loop.REPORT_S = loop.SAMPLE_S = PROGRESS_S
        clock, threads = SystemClock(), Threads()
        self.told = Told()
        _listen(self.told)
        self.fleet = FakeFleet(clock, threads, timing=replace(INSTANT, copy_s=part.copy_s))
        for name in part.hosts:
            self.fleet.add_host(name, FACTS)
        for number in part.mine:
            guest = FakeGuest(f"g{number}", str(uuid.UUID(int=number + 1)), memory_mib=16)
            self.fleet.hosts[place_of(number, part.of)[0]].add_guest(guest)
        self._parts: list[Any] = []
        for name, host in self.fleet.hosts.items():
            host.subscribe(self._watch)
            settings = AgentSettings(name, _addresses(name), encryption="off")
            agent = Agent(host, clock, threads, ConductorClient(bus), settings)
            server = bus.server(
                AGENT_TOPIC, name, AGENT_METHODS, agent.endpoint, version=RPC_VERSION
            )
            server.start()
            agent.start()
            self._parts += [agent, server]

    def _watch(self, event: HypervisorEvent) -> None:
        if isinstance(event, LifecycleEvent) and (event.event, event.detail) == ARRIVED:
            self.told.arrived[event.instance_id] = SystemClock().now()


def _addresses(name: str) -> HostAddresses:
    return HostAddresses("qemu:///system", f"qemu+tcp://{name}/system", *["192.0.2.1"] * 3)


def _child(wires: Wires, part: Part, pipe: Connection) -> None:
    side = FleetSide(open_bus(wires, f"bench-fleet-{part.number}"), part)
    pipe.send("ready")
    assert pipe.recv() == "end"
    side.told.cpu_s = time.process_time()
    pipe.send(side.told)
    os._exit(0)


class FleetProcess:
    """A fleet in a process of its own."""

    def __init__(self, wires: Wires, part: Part) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_child, args=(wires, part, theirs), daemon=True)
        self._process.start()

    def ready(self) -> None:
        """Wait until its agents have started."""
        assert self._pipe.recv() == "ready"

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> Told:
        self._pipe.send("end")
        told: Told = self._pipe.recv()
        self._process.join()
        return told


def in_this_process(bus: Bus, part: Part) -> FleetSide:
    """For a transport that reaches no other."""
    assert threading.current_thread() is threading.main_thread()
    return FleetSide(bus, part)

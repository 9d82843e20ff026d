"""How much one conductor carries: many migrations held at once, and whole migrations per second.

    python -m benchmarks.capacity hold --migrations 1000 --seconds 60
    python -m benchmarks.capacity throughput --migrations 200
    ... --transport rabbit://USER:PASSWORD@HOST:PORT/VHOST --database postgresql+psycopg://...

Real conductor, real agents, fake hosts. In process (``inproc``, the default) agents and hosts are part
of what is measured; over RabbitMQ they are a process of their own, and the figures are the conductor's
alone.
A lab's ``migrator.conf`` has both URLs; the database should be empty and nobody else at the broker.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

from benchmarks.idle import cpu_seconds, resident_mib
from benchmarks.report import Row, print_rows
from migrator import config
from migrator.compute_agent.agent import Agent
from migrator.compute_agent.monitor import loop
from migrator.compute_agent.ports import HypervisorEvent, LifecycleEvent
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
    RPC_VERSION,
    Empty,
    Migrate,
)
from migrator.model import HostAddresses, HostFacts
from migrator.rpc import Bus
from migrator.threads import SystemClock, Threads
from tests.fakes.hypervisor import FakeFleet, FakeGuest, FakeTiming

HOSTS = 10
FACTS = HostFacts(9_000_000, 7_002_022, "x86_64", 4096, 4_194_304, networks=("default",))
INSTANT = FakeTiming(0.0, 0.0, 0.0, 0.2, 0.4, 0.02, 0.0)
PROGRESS_S = 5.0
ASKING_S = 0.5
"""For each migration to be asked for and begun, on a busy machine: all copy for longer than that."""
ARRIVED = ("resumed", "migrated")
AWAY_S = 120.0
"""A fleet in one Python process reports late; that says nothing of its hosts."""
PATIENCE_S = 1800.0
ASKERS = 8


class FleetSide:
    """Agents over fake hosts, each guest on a host of its own number."""

    def __init__(self, bus: Bus, guests: int, copy_s: float) -> None:
        loop.REPORT_S = PROGRESS_S
        clock, threads = SystemClock(), Threads()
        self.arrived: dict[str, datetime] = {}
        """Guest -> when it was resumed at its destination."""
        self.fleet = FakeFleet(clock, threads, timing=replace(INSTANT, copy_s=copy_s))
        for number in range(HOSTS):
            self.fleet.add_host(f"h{number}", FACTS)
        for number in range(guests):
            guest = FakeGuest(f"g{number}", str(uuid.UUID(int=number + 1)), memory_mib=16)
            self.fleet.hosts[f"h{number % HOSTS}"].add_guest(guest)
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
            self.arrived[event.instance_id] = SystemClock().now()


def _addresses(name: str) -> HostAddresses:
    return HostAddresses("qemu:///system", f"qemu+tcp://{name}/system", *["192.0.2.1"] * 3)


def _open_bus(transport: str, where: str, name: str) -> Bus:
    file = Path(where) / f"{name}.conf"
    file.write_text(f"[DEFAULT]\ntransport_url = {transport}\nstate_path = {where}\n")
    logging.disable(logging.WARNING)
    return Bus.open(config.load(["--config-file", str(file)], name))


def _child(transport: str, where: str, guests: int, copy_s: float, pipe: Connection) -> None:
    side = FleetSide(_open_bus(transport, where, "bench-fleet"), guests, copy_s)
    pipe.send("ready")
    assert pipe.recv() == "end"
    pipe.send(side.arrived)
    os._exit(0)


class Bench:
    """One conductor, and a fleet here or in a process of its own."""

    def __init__(self, asked: argparse.Namespace, where: str, copy_s: float) -> None:
        schema.upgrade(asked.database)
        self._database = Database(asked.database)
        self.bus = _open_bus(asked.transport, where, "bench-conductor")
        self.apart = not asked.transport.startswith("inproc")
        self.guests = asked.migrations
        most = asked.migrations + 1
        settings = ConductorSettings(
            name="bench",
            encryption="off",
            max_migrations=most,
            max_outgoing=most,
            max_incoming=most,
            cpu_overcommit=1000.0,
            host_down_s=AWAY_S,
        )
        clock = SystemClock()
        self.stores = open_stores(self._database, clock.now, Patience(settings.host_down_s))
        self.client = ConductorClient(self.bus)
        outside = Outside(AgentClient(self.bus), self.client, clock, Threads())
        conductor = Conductor(settings, self.stores, outside)
        server = self.bus.server(
            CONDUCTOR_TOPIC, "bench", CONDUCTOR_METHODS, conductor.endpoint, version=RPC_VERSION
        )
        conductor.start()
        server.start()
        self._start_fleet(asked, where, copy_s)
        self.until(lambda: len(self.stores.instances.list()) >= self.guests, "guests are known")
        hosts = self.stores.hosts.list
        self.until(lambda: sum(each.alive for each in hosts()) == HOSTS, "hosts are alive")

    def _start_fleet(self, asked: argparse.Namespace, where: str, copy_s: float) -> None:
        self.here: FleetSide | None = None
        if not self.apart:
            self.here = FleetSide(self.bus, self.guests, copy_s)
            return
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        words = (asked.transport, where, self.guests, copy_s, theirs)
        context.Process(target=_child, args=words, daemon=True).start()
        assert self.pipe.recv() == "ready"

    def ask(self) -> None:
        """Every guest moves to the host after its own."""

        def one(number: int) -> None:
            target = f"h{(number + 1) % HOSTS}"
            self.client.migrate(Migrate(instance=f"g{number}", host=target))

        with ThreadPoolExecutor(ASKERS) as askers:
            list(askers.map(one, range(self.guests)))

    def states(self) -> dict[str, int]:
        """Of the unfinished; ended ones by :meth:`ended`."""
        found: dict[str, int] = {}
        for each in self.stores.migrations.unfinished():
            found[each.state] = found.get(each.state, 0) + 1
        return found

    def ended(self) -> dict[str, int]:
        return dict(self.client.count(Empty()).ended)

    def until(self, so: Callable[[], bool], what: str) -> float:
        """Seconds it took."""
        began = time.monotonic()
        while not so():
            if time.monotonic() - began > PATIENCE_S:
                raise SystemExit(f"waited in vain until {what}: {self.states()}")
            time.sleep(0.2)
        return time.monotonic() - began

    def end(self) -> dict[str, datetime]:
        """Let the fleet go; when each guest arrived."""
        if self.here is not None:
            return self.here.arrived
        self.pipe.send("end")
        arrived: dict[str, datetime] = self.pipe.recv()
        return arrived


def hold(bench: Bench, seconds: float) -> Sequence[Row]:
    """All of them run at once for a while, then all of them end."""
    bench.ask()
    bench.until(lambda: bench.states().get("running", 0) == bench.guests, "all of them run")
    pid, began, cpu = os.getpid(), time.monotonic(), cpu_seconds(os.getpid())
    time.sleep(seconds)
    share = (cpu_seconds(pid) - cpu) / (time.monotonic() - began)
    resident = resident_mib(pid)
    lost = bench.guests - bench.states().get("running", 0)
    bench.until(lambda: not bench.states(), "all of them have ended")
    ended, arrived = bench.ended(), bench.end()
    delays = sorted(
        (each.switched_at - arrived[each.instance_id]).total_seconds()
        for each in bench.stores.migrations.ended_since(None, (), bench.guests)
        if each.switched_at is not None
    )
    p99 = delays[int(0.99 * (len(delays) - 1))] if delays else float("nan")
    what = "conductor alone" if bench.apart else "agents and fake hosts included"
    enough = bench.apart and seconds >= 60
    return [
        Row(
            f"{bench.guests} held for {seconds:.0f} s: CPU ({what})",
            f"{share:.2f} cores",
            "<= 1 core",
            share <= 1 if enough else None,
        ),
        Row("resident", f"{resident:.0f} MiB", "<= 500 MiB", resident <= 500 if enough else None),
        Row("lost while held", str(lost), "0", lost == 0),
        Row("ended", str(ended), f"{bench.guests} completed", ended == {"completed": bench.guests}),
        Row(
            "from the guest's arrival to the stored switch, p99",
            f"{p99:.2f} s",
            "<= 1 s",
            p99 <= 1 if enough else None,
        ),
    ]


def throughput(bench: Bench) -> Sequence[Row]:
    """Whole migrations, one after the other as fast as they are taken."""
    began = time.monotonic()
    bench.ask()
    bench.until(lambda: sum(bench.ended().values()) == bench.guests, "all of them have ended")
    took = time.monotonic() - began
    ended = bench.ended()
    bench.end()
    return [
        Row(f"{bench.guests} whole migrations", f"{bench.guests / took:.1f} per second", "", None),
        Row("ended", str(ended), f"{bench.guests} completed", ended == {"completed": bench.guests}),
    ]


def main() -> int:
    """Exit status: 1 when a promise was broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mode", choices=("hold", "throughput"))
    parser.add_argument("--migrations", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--transport", default=f"inproc:///{uuid.uuid4()}")
    parser.add_argument("--database", default="")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as where:
        asked.database = asked.database or f"sqlite:///{where}/migrator.sqlite"
        kinds = [cast(str, url).partition(":")[0] for url in (asked.database, asked.transport)]
        held = asked.seconds + ASKING_S * asked.migrations
        bench = Bench(asked, where, copy_s=held if asked.mode == "hold" else 0.0)
        rows = hold(bench, asked.seconds) if asked.mode == "hold" else throughput(bench)
        print(f"database {kinds[0].partition('+')[0]}, transport {kinds[1]}")
        sys.stdout.flush()
        os._exit(print_rows(rows))


if __name__ == "__main__":
    raise SystemExit(main())

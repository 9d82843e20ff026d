"""A whole fleet in one thread: real conductors and agents over fake hosts, and the run's hand on it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

from migrator.compute_agent.agent import Agent
from migrator.compute_agent.ports import Hypervisor
from migrator.compute_agent.rpcapi import AgentClient
from migrator.compute_agent.settings import AgentSettings
from migrator.conductor.conductor import Conductor, Outside
from migrator.conductor.ports import Stores
from migrator.conductor.rpcapi import ConductorClient
from migrator.conductor.settings import ConductorSettings
from migrator.db.stores import Patience, open_stores
from migrator.errors import MigratorError, Refused
from migrator.messages import (
    AGENT_METHODS,
    AGENT_TOPIC,
    CONDUCTOR_METHODS,
    CONDUCTOR_TOPIC,
    Migrate,
)
from migrator.model import HostAddresses
from migrator.rpc import Bus
from tests.fakes.hypervisor import FakeGuest, FakeTiming
from tests.simulation.database import SimDatabase
from tests.simulation.furniture import furnish, made
from tests.simulation.hosts import SeenByAgent, SimFleet
from tests.simulation.network import Network, SimBus
from tests.simulation.plan import GuestPlan, Plan
from tests.simulation.scheduler import START, Process, Scheduler, SimClock, SimConcurrency

ASK_AGAIN_S = 1.0
MOST_ASKS = 120
LEASE_S = 10.0
HOST_DOWN_S = 15.0
COLD_STOP_S = 5.0
PASS_S = 1.0
"""How long a pass over a guest's memory takes."""


class World:
    """Everything of one run."""

    def __init__(self, plan: Plan, database: SimDatabase) -> None:
        self.plan = plan
        self.scheduler = Scheduler(plan.seed, plan.yields)
        self.fleet = SimFleet(self.scheduler, FakeTiming(copy_s=plan.copy_s))
        self.network = Network(self.scheduler)
        self.database = database
        database.empty()
        database.time = lambda: START + timedelta(seconds=self.scheduler.time)
        database.point = self.scheduler.point
        self.operator = Process("operator")
        self.conductors: dict[str, Process] = {}
        self.agents: dict[str, Process] = {}
        self.guests: dict[str, FakeGuest] = {}
        self.answers: dict[str, str] = {}
        """instance id -> migration id, or the code of the refusal."""
        self.asked: list[str] = []
        self.refusals: list[str] = []
        self.paused_by_user: dict[str, float] = {}
        """instance id -> when."""
        self.log: list[str] = []
        self._skew = dict(plan.skew)
        furnish(self)
        if plan.family == "postcopy":
            self._iterate()

    # -- processes

    def start_conductor(self, name: str) -> None:
        process = Process(name)
        self.conductors[name] = process
        bus = cast(Bus, SimBus(self.network, process))
        clock = SimClock(self.scheduler, process)
        settings = ConductorSettings(
            name=name,
            encryption="off",
            lease_s=LEASE_S,
            host_down_s=HOST_DOWN_S,
            cold_stop_s=COLD_STOP_S,
            cold_confirm_s=self.plan.confirm_s,
        )
        stores = open_stores(self.database, clock.now, Patience(HOST_DOWN_S))
        outside = Outside(
            AgentClient(bus), ConductorClient(bus), clock, SimConcurrency(self.scheduler, process)
        )
        conductor = Conductor(settings, stores, outside)
        conductor.start()
        self.network.serve(process, (CONDUCTOR_TOPIC, name), CONDUCTOR_METHODS, conductor.endpoint)

    def start_agent(self, name: str) -> None:
        process = Process(name, self._skew.get(name, 0.0))
        self.agents[name] = process
        bus = cast(Bus, SimBus(self.network, process))
        seen = SeenByAgent(self.fleet.hosts[name], self.fleet, process)
        settings = AgentSettings(name, addresses(name), encryption="off")
        agent = Agent(
            cast(Hypervisor, seen),
            SimClock(self.scheduler, process),
            SimConcurrency(self.scheduler, process),
            ConductorClient(bus),
            settings,
        )
        agent.start()
        self.network.serve(process, (AGENT_TOPIC, name), AGENT_METHODS, agent.endpoint)

    # -- guests and migrations

    def add_guests(self) -> None:
        for number, wanted in enumerate(self.plan.guests, start=1):
            guest = made(self, number, wanted)
            self.guests[guest.id] = guest
            self.fleet.hosts["h1"].add_guest(guest)
            if wanted.paused:
                self.fleet.hosts["h1"].suspend(guest.id)

    def wanted(self, guest: FakeGuest) -> GuestPlan:
        """What the plan says of it."""
        return self.plan.guests[int(guest.name.removeprefix("g")) - 1]

    def _iterate(self) -> None:
        """Transfers go over the memory again and again, as of guests that write to it."""
        self.fleet.iterate()
        self.scheduler.at(PASS_S, self._iterate)

    def act(self, name: str, work: Callable[[], None]) -> None:
        """Do it now, before anybody else goes on."""
        self.scheduler.spawn(self.operator, name, work, urgent=True)

    def ask_to_migrate(self, instance_id: str, target: str | None, request_id: str) -> None:
        """As an operator's script would: again, with the same request id, until there is an answer."""
        self.asked.append(request_id)
        client = ConductorClient(cast(Bus, SimBus(self.network, self.operator)))

        def work() -> None:
            for _ in range(MOST_ASKS):
                try:
                    wanted = Migrate(
                        instance=instance_id,
                        host=target,
                        request_id=request_id,
                        kind=self.plan.kind,
                        profile=self.plan.profile,
                    )
                    self.answers[request_id] = client.migrate(wanted).id
                    return
                except Refused as refused:
                    self.answers[request_id] = refused.code
                    self.refusals.append(str(refused))
                    return
                except MigratorError as error:
                    self.say(f"asked in vain: {error}")
                    SimClock(self.scheduler, self.operator).sleep(ASK_AGAIN_S)
            self.answers[request_id] = "nobody answers"

        self.scheduler.spawn(self.operator, f"migrate-{instance_id[:4]}", work)

    # -- looking

    def stores(self) -> Stores:
        """The database as it is, from outside of any process."""
        return open_stores(self.database, self.database.time, Patience(HOST_DOWN_S))

    def count(self, query: str) -> int:
        """One number out of the database, however ill it is."""
        return int(self.rows(query)[0][0])

    def rows(self, query: str) -> list[Any]:
        return self.database.peek(query)

    def latest(self, instance_id: str) -> str:
        """The migration of that guest that was asked for last."""
        query = (
            "SELECT id FROM migrations WHERE instance_id = '{}' ORDER BY created_at DESC LIMIT 1"
        )
        return str(self.rows(query.format(instance_id))[0][0])

    def lost(self, instance_id: str) -> bool:
        """What is left of it will never go on."""
        ended = f"SELECT count(*) FROM migrations WHERE instance_id = '{instance_id}'"
        return self.count(f"{ended} AND state = 'lost'") > 0

    def leader(self) -> Process:
        """The conductor that leads the first migration, or any that lives."""
        rows = self.rows("SELECT leader FROM migrations WHERE leader IS NOT NULL LIMIT 1")
        named = self.conductors.get(rows[0][0]) if rows else None
        living = [each for each in self.conductors.values() if each.alive]
        if named is not None and named.alive:
            return named
        return living[0] if living else next(iter(self.conductors.values()))

    def say(self, what: str) -> None:
        """For the story of a run that went wrong."""
        self.log.append(f"{self.scheduler.time:9.3f}  {what}")

    def close(self) -> None:
        self.database.point = lambda label: None
        try:
            self.scheduler.end()
        except Exception:
            self.log.append(traceback.format_exc())


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

"""One conductor: its loops and its endpoint, over whatever ports it is given."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.compute_agent.rpcapi import AgentApi
from migrator.conductor.blackouts import Blackouts
from migrator.conductor.candidates import Candidates
from migrator.conductor.context import Context
from migrator.conductor.dispatcher import Dispatcher
from migrator.conductor.endpoint import ConductorEndpoint
from migrator.conductor.fleet import Fleet
from migrator.conductor.host_turns import HostTurns
from migrator.conductor.incarnations import Incarnations
from migrator.conductor.mailroom import Mailroom
from migrator.conductor.ports import Stores
from migrator.conductor.rpcapi import PeersApi
from migrator.conductor.settings import ConductorSettings
from migrator.conductor.settling import Settling
from migrator.conductor.todos import Todos
from migrator.ports import Clock, Concurrency
from migrator.scheduler.snapshot import Promises

STOP_S = 5.0
"""A loop ends at its next look."""


@dataclass(frozen=True)
class Outside:
    """Everything a conductor reaches or waits on, besides its database."""

    agents: AgentApi
    peers: PeersApi
    clock: Clock
    concurrency: Concurrency


class Conductor:
    """Start it, call its endpoint, stop it. Led migrations are simply left: their lease runs out or the
    next process of the same name takes them up; the transfers themselves go on in libvirt."""

    def __init__(self, settings: ConductorSettings, stores: Stores, outside: Outside) -> None:
        concurrency, clock = outside.concurrency, outside.clock
        self.context = Context(
            settings=settings,
            stores=stores,
            agents=outside.agents,
            peers=outside.peers,
            clock=clock,
            concurrency=concurrency,
            mail=Mailroom(concurrency, clock),
            incarnations=Incarnations(concurrency, clock, settings.host_down_s),
            blackouts=Blackouts(concurrency, clock),
            turns=HostTurns(concurrency),
            candidates=Candidates(stores, _promises(settings), concurrency),
            dispatch=concurrency.inbox(),
            todo=concurrency.inbox(),
        )
        self._settling = Settling(self.context)
        self._fleet = Fleet(self.context, self._settling)
        self.endpoint = ConductorEndpoint(self.context, self._fleet, self._settling)
        self._dispatcher = Dispatcher(self.context, self._settling.settle_quietly)
        self._todos = Todos(self.context, self._settling.settle_quietly)

    def start(self) -> None:
        """Register the configured hosts and start the loops."""
        self._fleet.register_configured()
        spawn = self.context.concurrency.spawn
        self._workers = [
            spawn("dispatcher", self._dispatcher.run),
            spawn("todos", self._todos.run),
            spawn("sweep", self._settling.run),
            spawn("settling", self._settling.follow),
        ]

    def describe(self) -> list[str]:
        """What it leads, and every unfinished migration with what it waits for, a line each.

        :raises Transient: the database is away."""
        stores, led = self.context.stores, set(self.context.mail.led())
        lines = [f"conductor {self.context.settings.name} leads {len(led)} migrations"]
        for migration in stores.migrations.unfinished():
            leader = "here" if migration.id in led else migration.leader or "nobody"
            lines.append(
                f"  migration {migration.id} of {migration.instance_name} is {migration.state}, epoch "
                f"{migration.epoch}, led by {leader}: {migration.attention or 'as it should be'}"
            )
            lines += [
                f"    to-do {todo.id}, {todo.kind} on {todo.host}: {todo.attempts} tries in vain, next "
                f"at {todo.next_try_at:%H:%M:%S} UTC; {todo.last_error or 'not tried yet'}"
                for todo in stores.migrations.open_todos(migration.id)
            ]
        return lines

    def stop(self) -> None:
        self._dispatcher.stop()
        self._todos.stop()
        self._settling.stop()
        for worker in self._workers:
            worker.join(STOP_S)


def _promises(settings: ConductorSettings) -> Promises:
    return Promises(
        settings.cpu_overcommit, settings.memory_overcommit, settings.reserved_memory_mib
    )

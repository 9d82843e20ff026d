"""What can happen to a fleet: each fault strikes at its trigger and is mended some seconds later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

from migrator.conductor.rpcapi import ConductorClient
from migrator.errors import MigratorError
from migrator.messages import (
    AbortMigration,
    ConfirmMigration,
    ForceComplete,
    RescueMigration,
    RevertMigration,
)
from migrator.model import Reason
from migrator.rpc import Bus
from tests.fakes.hypervisor import Signal
from tests.simulation.hosts import EXECUTING, SimHost
from tests.simulation.network import SimBus
from tests.simulation.plan import ANY, Fault
from tests.simulation.scheduler import Process, SimClock
from tests.simulation.world import World

WITHOUT_LIBVIRT = frozenset({"guest_powers_off", "guest_crashes"})
"""What a guest does without asking its host's libvirt."""
BLINK_S = 1.0
"""A process that is killed is started again no sooner; a person waits so long before asking again."""
FORCES = 20
"""Tries of an operator who wants a migration forced before it transfers anything."""


class Faults:
    """Watches the points of a run, and strikes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiting = [fault for fault in world.plan.faults if fault.trigger.label]
        self._counts: dict[Fault, int] = {}
        self.armed = False
        self.struck: list[str] = []
        self.points: dict[tuple[str, str], int] = {}
        """(role, label) -> how often, since the first migration was asked for."""
        self.pending = 0
        """Faults that strike or are mended by the clock and have not yet."""
        world.scheduler.at_point = self._at_point

    def arm(self) -> None:
        """From now on."""
        self.armed = True
        for fault in self._world.plan.faults:
            if not fault.trigger.label:
                self._later(fault.trigger.after_s, lambda fault=fault: self._strike(fault))

    @property
    def over(self) -> bool:
        """Everything that was going to happen has, and is mended."""
        return self.pending == 0

    def forget(self) -> None:
        """What has not been reached by now will not strike any more."""
        self._waiting.clear()

    def _at_point(self, process: Process, label: str) -> None:
        if not self.armed or process.name == "operator":
            return
        role = "conductor" if process.name.startswith("c") else process.name
        self.points[(role, label)] = self.points.get((role, label), 0) + 1
        for fault in self._waiting:
            trigger = fault.trigger
            if trigger.role == role and trigger.label in (label, ANY):
                self._counts[fault] = self._counts.get(fault, 0) + 1
                if self._counts[fault] == trigger.nth:
                    self._waiting.remove(fault)
                    self._strike(fault, process)
                    return

    def _strike(self, fault: Fault, where: Process | None = None) -> None:
        self.struck.append(fault.kind)
        self._world.say(f"FAULT {fault} (at {where or 'its time'})")
        KINDS[fault.kind](self, fault, where)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        self.pending += 1

        def done() -> None:
            self.pending -= 1
            act()

        self._world.scheduler.at(seconds, done)

    # -- processes of ours

    def _kill_conductor(self, fault: Fault, where: Process | None) -> None:
        world = self._world
        process = where if where in world.conductors.values() else world.leader()
        assert process is not None
        world.scheduler.kill(process)
        self._later(fault.seconds + BLINK_S, lambda: self._start_conductor(process))

    def _start_conductor(self, process: Process) -> None:
        if self._world.conductors[process.name] is process:
            self._world.say(f"{process} starts again")
            self._world.start_conductor(process.name)

    def _kill_agent(self, host: str, fault: Fault) -> None:
        process = self._world.agents[host]
        if not process.alive:
            return
        self._world.scheduler.kill(process)
        self._later(fault.seconds + BLINK_S, lambda: self._start_agent(host))

    def _start_agent(self, host: str) -> None:
        self._world.say(f"the agent of {host} starts again")
        self._world.start_agent(host)

    def _freeze(self, process: Process, fault: Fault) -> None:
        if not process.alive or process.frozen:
            return
        self._world.scheduler.freeze(process)

        def thaw() -> None:
            self._world.say(f"{process} goes on")
            self._world.scheduler.thaw(process)

        self._later(fault.seconds, thaw)

    def _cut_off(self, process: Process, fault: Fault) -> None:
        self._world.network.cut_off.add(process)
        self._later(fault.seconds, lambda: self._world.network.heal(process))

    # -- hosts

    def _act(self, fault: Fault, work: Callable[[], None]) -> None:
        self._world.act(fault.kind, work)

    def _host(self, name: str) -> SimHost:
        return cast(SimHost, self._world.fleet.hosts[name])

    def _kill_libvirtd(self, host: str, fault: Fault) -> None:
        if not self._host(host).up:
            return
        self._act(fault, self._host(host).kill_libvirtd)
        self._later(
            fault.seconds, lambda: self._act(fault, lambda: self._host(host).start_libvirtd())
        )

    def _guests_on(self, host: str, active: bool = True) -> list[str]:
        domains = self._host(host).domains
        return [each for each in self._world.guests if each in domains and domains[each].active]

    def _kill_qemu(self, host: str, fault: Fault) -> None:
        def work() -> None:
            for guest in self._guests_on(host):
                self._host(host).kill_qemu(guest)

        self._act(fault, work)

    def _take_power(self, fault: Fault) -> None:
        self._world.fleet.source_vanishes = True
        self._kill_qemu("h1", fault)

    def _on_home(self, fault: Fault, work: Callable[[SimHost, str], None]) -> None:
        """Something that happens to guests where they run now."""

        def each() -> None:
            for guest in self._world.guests:
                for host in self._world.fleet.hosts.values():
                    domain = host.domains.get(guest)
                    runs = domain is not None and domain.active and domain.state in EXECUTING
                    if runs and (host.up or fault.kind in WITHOUT_LIBVIRT):
                        work(cast(SimHost, host), guest)

        self._act(fault, each)

    def _delete(self, host: SimHost, guest: str) -> None:
        host.destroy(guest)
        host.undefine(guest)

    def _pause(self, host: SimHost, guest: str) -> None:
        host.suspend(guest)
        self._world.paused_by_user[guest] = self._world.scheduler.time

    def _crash(self, host: SimHost, guest: str) -> None:
        host.end(host.domains[guest], "crashed", Reason.CRASHED)

    def _cut_link(self, fault: Fault) -> None:
        self._act(fault, self._world.fleet.cut)

    def _lose_replies(self, fault: Fault) -> None:
        fleet = self._world.fleet
        fleet.lose_replies = True

        def found_again() -> None:
            fleet.lose_replies = False

        self._later(fault.seconds, found_again)

    def _freeze_qemu(self, fault: Fault) -> None:
        fleet = self._world.fleet
        self._act(fault, lambda: fleet.signal(Signal.FREEZE))
        self._later(fault.seconds, lambda: self._act(fault, lambda: fleet.signal(Signal.THAW)))

    def _start_twice(self, host: SimHost, guest: str) -> None:
        """No fault of the sweep: it breaks a rule, so that a test can see that this is noticed."""
        other = next(each for each in self._world.fleet.hosts.values() if each is not host)
        other.add_guest(self._world.guests[guest])

    # -- the database, the operator

    def _away(self, fault: Fault) -> None:
        self._world.database.away = True

        def back() -> None:
            self._world.database.away = False

        self._later(fault.seconds, back)

    def _cut_commit(self) -> None:
        self._world.database.cut_next_commit = True

    def _abort(self) -> None:
        self._say_to_all("abort", lambda c, each: c.abort(AbortMigration(id=each)), tries=1)

    def _force(self) -> None:
        def force(client: ConductorClient, migration_id: str) -> object:
            return client.force_complete(ForceComplete(id=migration_id, method="postcopy"))

        self._say_to_all("force", force, FORCES)

    def _stall(self, fault: Fault) -> None:
        fleet = self._world.fleet
        self._act(fault, fleet.stall)
        self._later(fault.seconds, lambda: self._act(fault, lambda: fleet.stall(False)))

    def _say_to_all(
        self, word: str, say: Callable[[ConductorClient, str], object], tries: int
    ) -> None:
        """Every migration that has been accepted is told so, until it agrees."""
        world = self._world
        client = ConductorClient(cast(Bus, SimBus(world.network, world.operator)))

        def work() -> None:
            told: set[str] = set()
            for _ in range(tries):
                for migration_id in set(world.answers.values()) - told:
                    if len(migration_id) != 36:
                        continue
                    try:
                        say(client, migration_id)
                        told.add(migration_id)
                    except MigratorError as error:
                        world.say(f"{word}: {error}")
                SimClock(world.scheduler, world.operator).sleep(BLINK_S)

        world.scheduler.spawn(world.operator, word, work)


Strike = Callable[[Faults, Fault, Process | None], None]
KINDS: Mapping[str, Strike] = {
    "kill_conductor": Faults._kill_conductor,
    "freeze_conductor": lambda self, fault, where: self._freeze(self._world.leader(), fault),
    "cut_off_conductor": lambda self, fault, where: self._cut_off(self._world.leader(), fault),
    "kill_source_agent": lambda self, fault, where: self._kill_agent("h1", fault),
    "kill_destination_agent": lambda self, fault, where: self._kill_agent("h2", fault),
    "freeze_source_agent": lambda self, fault, where: self._freeze(self._world.agents["h1"], fault),
    "freeze_destination_agent": lambda self, fault, where: self._freeze(
        self._world.agents["h2"], fault
    ),
    "cut_off_source_agent": lambda self, fault, where: self._cut_off(
        self._world.agents["h1"], fault
    ),
    "cut_off_destination_agent": lambda self, fault, where: self._cut_off(
        self._world.agents["h2"], fault
    ),
    "kill_source_libvirtd": lambda self, fault, where: self._kill_libvirtd("h1", fault),
    "kill_destination_libvirtd": lambda self, fault, where: self._kill_libvirtd("h2", fault),
    "kill_source_qemu": lambda self, fault, where: self._kill_qemu("h1", fault),
    "take_source_power": lambda self, fault, where: self._take_power(fault),
    "kill_destination_qemu": lambda self, fault, where: self._kill_qemu("h2", fault),
    "freeze_destination_qemu": lambda self, fault, where: self._freeze_qemu(fault),
    "cut_migration_link": lambda self, fault, where: self._cut_link(fault),
    "lose_replies": lambda self, fault, where: self._lose_replies(fault),
    "database_away": lambda self, fault, where: self._away(fault),
    "cut_commit": lambda self, fault, where: self._cut_commit(),
    "guest_powers_off": lambda self, fault, where: self._on_home(
        fault, lambda host, guest: host.power_off(guest)
    ),
    "guest_crashes": lambda self, fault, where: self._on_home(fault, self._crash),
    "guest_is_deleted": lambda self, fault, where: self._on_home(fault, self._delete),
    "guest_is_started_twice": lambda self, fault, where: self._on_home(fault, self._start_twice),
    "user_pauses": lambda self, fault, where: self._on_home(fault, self._pause),
    "operator_aborts": lambda self, fault, where: self._abort(),
    "operator_forces": lambda self, fault, where: self._force(),
    "operator_rescues": lambda self, fault, where: self._say_to_all(
        "rescue", lambda c, each: c.rescue(RescueMigration(id=each)), tries=3
    ),
    "operator_confirms": lambda self, fault, where: self._say_to_all(
        "confirm", lambda c, each: c.confirm(ConfirmMigration(id=each)), tries=40
    ),
    "operator_reverts": lambda self, fault, where: self._say_to_all(
        "revert", lambda c, each: c.revert(RevertMigration(id=each)), tries=40
    ),
    "stall_link": lambda self, fault, where: self._stall(fault),
}

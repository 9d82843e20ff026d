"""Fake hosts as a run uses them: what an agent process sees of its libvirt, and what is really so.

The hosts themselves are the fakes that pass libvirt's contract suite. Here libvirt's own work runs in
libvirt's process, so that an agent that dies takes nothing along, and every verb is a point.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from migrator.compute_agent.ports import HypervisorEvent, LifecycleEvent
from migrator.errors import MigratorError
from migrator.messages import TransferPlan
from migrator.model import DomainState, HostFacts, Reason
from migrator.storage.ports import CopyWatch
from tests.fakes.hypervisor import FACTS, FakeFleet, FakeHypervisor, FakeTiming
from tests.fakes.hypervisor_host import FakeHost
from tests.simulation.scheduler import Process, Scheduler, SimClock, SimConcurrency, SimInbox

EXECUTING = frozenset({DomainState.RUNNING, DomainState.BLOCKED})
VERBS = frozenset(
    {"set_mark", "set_autostart", "migrate", "abort_job", "suspend", "resume", "destroy"}
    | {"undefine", "list_domains", "summary", "view", "describe", "job", "prepare", "refresh_pool"}
    | {"start_postcopy", "pause_postcopy", "resume_postcopy"}
    | {"define", "undefine_whole", "start", "shutdown", "copy_volumes", "digest_volumes"}
    | {"create_volume", "delete_volume", "attach_device", "detach_device"}
)
"""Named at their points; the other verbs share one name."""
LONG_S = 3600.0
LOOKS_S = 0.5
"""Between two looks of a copy of volumes at what has become of its ends."""


class SimHost(FakeHypervisor):
    """A fake host that tells the run's witness of everything that happens."""

    witness: Witness

    def notify(self, event: HypervisorEvent) -> None:
        if isinstance(event, LifecycleEvent):
            self.witness.saw(self, event)
        super().notify(event)

    def _wait_while_held(self, peer: FakeHost, watch: CopyWatch) -> None:
        """A copy of volumes takes its time, and ends with whoever asked for it."""
        clock = self.fleet.clock
        until = clock.monotonic() + self.fleet.timing.copy_s
        super()._wait_while_held(peer, watch)
        while clock.monotonic() < until:
            clock.sleep(LOOKS_S)
            super()._wait_while_held(peer, watch)


class SimFleet(FakeFleet):
    """Its hosts are :class:`SimHost`."""

    def __init__(self, scheduler: Scheduler, timing: FakeTiming) -> None:
        self.scheduler = scheduler
        self.process = Process("libvirt")
        concurrency = SimConcurrency(scheduler, self.process)
        super().__init__(SimClock(scheduler, self.process), concurrency, timing)
        self.witness = Witness(self)

    def add_host(self, name: str, facts: HostFacts = FACTS) -> SimHost:
        host = SimHost(self, name, facts)
        host.witness = self.witness
        self.hosts[name] = host
        return host


class Witness:
    """What really happened, whatever anybody wrote down."""

    def __init__(self, fleet: SimFleet) -> None:
        self._fleet = fleet
        self.moved: dict[str, list[tuple[str, str]]] = {}
        """migration id -> (instance id, host it arrived on), in the order it happened."""
        self.arrived_at: dict[str, float] = {}
        """instance id -> when it began to run where a live move brought it."""
        self.split: dict[str, tuple[str, str]] = {}
        """migration id -> the same of one that went on as post-copy."""
        self.transfers: dict[tuple[str, int], int] = {}
        """(migration, attempt) -> how often libvirt was made to begin it."""
        self.two_ran: dict[str, tuple[float, frozenset[str]]] = {}
        """instance id -> when first, and where."""
        self.two_run_since: dict[str, float] = {}
        self.longest_two_ran = 0.0
        """Seconds that any guest went on running in two places."""
        self.log: list[str] = []

    def saw(self, host: SimHost, event: LifecycleEvent) -> None:
        scheduler = self._fleet.scheduler
        self.log.append(
            f"{scheduler.time:9.3f}  {host.name}: {event.name} {event.event}/{event.detail}"
        )
        self._note_arrival(host, event)
        where = frozenset(
            each.name
            for each in self._fleet.hosts.values()
            if (domain := each.domains.get(event.instance_id)) is not None
            and domain.state in EXECUTING
        )
        if len(where) > 1:
            self.two_ran.setdefault(event.instance_id, (scheduler.time, where))
            self.two_run_since.setdefault(event.instance_id, scheduler.time)
        else:
            since = self.two_run_since.pop(event.instance_id, scheduler.time)
            self.longest_two_ran = max(self.longest_two_ran, scheduler.time - since)

    def _note_arrival(self, host: SimHost, event: LifecycleEvent) -> None:
        domain = host.domains.get(event.instance_id)
        mark = domain.mark if domain is not None and domain.active else None
        if domain is None or mark is None:
            return
        if (event.event, event.detail) == ("resumed", "postcopy"):
            # Whatever becomes of its memory: it runs there and nowhere else any more.
            if mark.migration_id not in self.split:
                self.arrived_at[event.instance_id] = self._fleet.scheduler.time
            self.split.setdefault(mark.migration_id, (event.instance_id, host.name))
        if domain.completed is None and mark.migration_id not in self.split:
            return
        came_paused = (event.event, event.detail) == ("suspended", "paused")
        arrived = (event.event, event.detail) == ("resumed", "migrated")
        if (arrived and domain.reason is Reason.MIGRATED) or (
            came_paused and domain.transfer is None
        ):
            self.moved.setdefault(mark.migration_id, []).append((event.instance_id, host.name))
            if mark.migration_id not in self.split:
                self.arrived_at[event.instance_id] = self._fleet.scheduler.time


class SeenByAgent:
    """One agent process's libvirt: the port's verbs, each a point before and after."""

    def __init__(self, host: SimHost, fleet: SimFleet, process: Process) -> None:
        self._host = host
        self._fleet = fleet
        self._process = process
        self._scheduler = fleet.scheduler

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._host, name)
        label = name if name in VERBS else "other"

        def call(*args: Any, **kwargs: Any) -> Any:
            self._scheduler.point(f"libvirt {label}")
            try:
                return verb(*args, **kwargs)
            finally:
                if not self._scheduler.over:
                    self._scheduler.point(f"libvirt {label} done")

        return call

    def subscribe(self, listener: Callable[[HypervisorEvent], None]) -> None:
        def tell(event: HypervisorEvent) -> None:
            if self._process.alive:
                listener(event)

        self._host.subscribe(tell)

    def migrate(self, instance_id: str, plan: TransferPlan) -> None:
        """libvirt carries it through, whatever becomes of who asked."""
        self._scheduler.point("libvirt migrate")
        outcome = SimInbox(self._scheduler)

        def run() -> None:
            try:
                self._host.migrate(instance_id, plan)
            except MigratorError as error:
                outcome.put(error)
            else:
                outcome.put("moved")

        self._note_start(instance_id)
        self._scheduler.spawn(self._fleet.process, "migrate", run)
        ended = None
        while ended is None:
            ended = outcome.get(LONG_S)
        self._scheduler.point("libvirt migrate done")
        if isinstance(ended, MigratorError):
            raise ended

    def _note_start(self, instance_id: str) -> None:
        domain = self._host.domains.get(instance_id)
        if domain is not None and domain.mark is not None:
            key = domain.mark.migration_id, domain.mark.attempt
            begun = self._fleet.witness.transfers
            begun[key] = begun.get(key, 0) + 1

    def close(self) -> None:
        """The connection goes; libvirt stays."""

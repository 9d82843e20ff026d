"""Two fake hosts, the agent of each, and a conductor's receiving end that records.

Built so that a test says only what matters to it: ``world.h1`` and ``world.h2`` are hosts, their agents
are asked through :class:`Asked`, which fills in the fields every command carries.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from migrator.compute_agent.agent import Agent
from migrator.compute_agent.attempt_mark import mark_element
from migrator.compute_agent.settings import AgentSettings
from migrator.messages import (
    Abort,
    Aborted,
    CheckDestination,
    CheckSource,
    Command,
    DeleteVolumes,
    DestinationChecked,
    DestinationFinished,
    DestinationPrepared,
    DestinationUndone,
    FenceSource,
    FinishDestination,
    Inspected,
    InstanceRef,
    PrepareDestination,
    ReleaseSource,
    SourceChecked,
    SourceFacts,
    SourceFenced,
    SourceReleased,
    StartTransfer,
    TransferPlan,
    TransferStarted,
    UndoDestination,
    VolumesDeleted,
)
from migrator.model import AttemptMark, DomainState, HostAddresses
from migrator.threads import SystemClock, Threads
from tests.fakes.hypervisor import FAST, FakeFleet, FakeGuest, FakeHypervisor, FakeTiming
from tests.fakes.reports import RecordingReports

PATIENCE_S = 20.0
MIGRATION = "7a52c0de-0000-4000-8000-000000000001"
FLAGS = ["abort_on_error", "live", "peer2peer", "persist_dest", "undefine_source"]

C = TypeVar("C", bound=Command)


class Asked:
    """One agent, asked as a conductor would."""

    def __init__(self, world: World, hypervisor: FakeHypervisor, settings: AgentSettings) -> None:
        self.world = world
        self.host = hypervisor
        self.reports = world.reports
        self.settings = settings
        self.agent = self._new()

    def _new(self) -> Agent:
        return Agent(
            self.host, self.world.clock, self.world.concurrency, self.reports, self.settings
        )

    def restart(self) -> None:
        """Another process over the same libvirt."""
        self.die()
        self.agent = self._new()
        self.agent.start()

    def die(self) -> None:
        """The process falls silent."""
        self.agent.stop()
        self.host.close()

    def command(self, kind: type[C], **fields: Any) -> C:
        """A command of attempt 1, epoch 1, its step made up for this one call."""
        common = {
            "incarnation": self.agent.incarnation,
            "migration_id": MIGRATION,
            "attempt": 1,
            "epoch": 1,
            "step": str(uuid.uuid4()),
            "deadline_s": 5.0,
            "instance_id": self.world.guest,
        }
        return kind(**{**common, **fields})

    def describe(self) -> SourceFacts:
        return self.agent.endpoint.describe_source(InstanceRef(instance_id=self.world.guest))

    def inspect(self) -> Inspected:
        return self.agent.endpoint.inspect(InstanceRef(instance_id=self.world.guest))

    def check_destination(self, facts: SourceFacts, **fields: Any) -> DestinationChecked:
        request = {
            "instance_id": facts.instance_id,
            "name": facts.name,
            "arch": facts.arch,
            "machine": facts.machine,
            "virt_type": facts.virt_type,
            "cpu_xml": facts.cpu_xml,
            "vcpus": facts.vcpus,
            "memory_mib": facts.memory_mib,
            "pools": [],
            "volumes": [],
            "networks": facts.networks,
            "source_libvirt_version": facts.libvirt_version,
            "source_hypervisor_version": facts.hypervisor_version,
            "encryption": "off",
        }
        return self.agent.endpoint.check_destination(CheckDestination(**{**request, **fields}))

    def check_source(self, peer: Asked, **fields: Any) -> SourceChecked:
        request = {
            "instance_id": self.world.guest,
            "peer_uri": peer.host.peer_uri,
            "encryption": "off",
        }
        return self.agent.endpoint.check_source(CheckSource(**{**request, **fields}))

    def prepare(self, **fields: Any) -> DestinationPrepared:
        request = {"name": "web1", "migration_address": "10.1.0.2", "vcpus": 1, "memory_mib": 256}
        command = self.command(PrepareDestination, **{**request, **fields})
        return self.agent.endpoint.prepare_destination(command)

    def start(self, to: Asked, autostart: bool = False, **fields: Any) -> TransferStarted:
        attempt = fields.get("attempt", 1)
        plan = fields.pop("plan", None) or self.world.plan(to, attempt, autostart)
        command = self.command(StartTransfer, plan=plan, autostart=autostart, **fields)
        return self.agent.endpoint.start_transfer(command)

    def abort(self, autostart: bool = False, **fields: Any) -> Aborted:
        return self.agent.endpoint.abort(self.command(Abort, autostart=autostart, **fields))

    def fence(self, **fields: Any) -> SourceFenced:
        return self.agent.endpoint.fence_source(self.command(FenceSource, **fields))

    def finish(self, persistent: bool = True, **fields: Any) -> DestinationFinished:
        request = {"persistent": persistent, "autostart": False, **fields}
        return self.agent.endpoint.finish_destination(self.command(FinishDestination, **request))

    def release(self, **fields: Any) -> SourceReleased:
        return self.agent.endpoint.release_source(self.command(ReleaseSource, **fields))

    def undo(self, **fields: Any) -> DestinationUndone:
        return self.agent.endpoint.undo_destination(self.command(UndoDestination, **fields))

    def delete_volumes(self, *volumes: tuple[str, str], **fields: Any) -> VolumesDeleted:
        pairs = [list(each) for each in volumes]
        command = self.command(DeleteVolumes, volumes=pairs, **fields)
        return self.agent.endpoint.delete_volumes(command)

    @property
    def state(self) -> DomainState:
        return self.host.view(self.world.guest).state


class World:
    """See the module's docstring."""

    def __init__(self, timing: FakeTiming = FAST) -> None:
        self.clock = SystemClock()
        self.concurrency = Threads()
        self.reports = RecordingReports()
        self.fleet = FakeFleet(self.clock, self.concurrency, timing)
        self.h1, self.h2 = self._host("h1"), self._host("h2")
        self.guest = ""

    def _host(self, name: str, **fields: Any) -> Asked:
        hypervisor = self.fleet.add_host(name)
        addresses = HostAddresses("qemu:///system", hypervisor.peer_uri, name, name, name)
        settings = AgentSettings(name, addresses, encryption="off", heartbeat_s=0.05)
        return Asked(self, hypervisor, settings)

    def start(self) -> None:
        for each in (self.h1, self.h2):
            each.agent.start()

    def stop(self) -> None:
        for each in (self.h1, self.h2):
            each.agent.stop()
        self.fleet.release()

    def add_guest(self, host: Asked | None = None, **fields: Any) -> str:
        """A running persistent guest on h1."""
        guest = replace(FakeGuest("web1", str(uuid.uuid4()), persistent=True), **fields)
        self.guest = (host or self.h1).host.add_guest(guest)
        return self.guest

    def plan(self, to: Asked, attempt: int, autostart: bool) -> TransferPlan:
        """As the conductor renders it: the mark in both XMLs."""
        domain = self.h1.host.domains[self.guest]
        mark = AttemptMark(MIGRATION, attempt, autostart)
        flags = FLAGS if domain.persistent else FLAGS[:3]
        return TransferPlan(
            peer_uri=to.host.peer_uri,
            migrate_uri="tcp://10.1.0.2",
            listen_address="10.1.0.2",
            destination_xml=marked(domain.xml, mark),
            persistent_xml=marked(domain.inactive_xml, mark) if domain.inactive_xml else None,
            flags=flags,
        )

    def until(self, so: Callable[[], bool]) -> None:
        """Look until it is so."""
        deadline = time.monotonic() + PATIENCE_S
        while not so():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.005)

    def arrived(self) -> bool:
        """The guest runs on h2."""
        return self.h2.state is DomainState.RUNNING


def marked(xml: str, mark: AttemptMark) -> str:
    """The domain's XML with the mark as its first metadata."""
    return xml.replace("<memory ", f"<metadata>{mark_element(mark)}</metadata>\n  <memory ", 1)

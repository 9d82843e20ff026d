"""What an agent reads of its host while that changes."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from migrator.compute_agent.context import AgentPorts
from migrator.compute_agent.inventory import Inventory
from migrator.compute_agent.latch import Latch
from migrator.compute_agent.numbering import Numbering
from migrator.compute_agent.settings import AgentSettings
from migrator.compute_agent.window import Window
from migrator.model import DomainSummary, HostAddresses, HostFacts, HostTopology
from migrator.threads import SystemClock, Threads
from tests.fakes.hypervisor import FACTS, FakeFleet, FakeGuest, FakeHypervisor
from tests.fakes.hypervisor_pools import FakePool, FakeStorage
from tests.fakes.reports import RecordingReports


class Changing(FakeHypervisor):
    """A pool comes while it is read: after pools were listed, and told of before the look is over."""

    inventory: Inventory

    def topology(self) -> HostTopology:
        if "late" not in self.pools.active():
            self.pools.add(FakePool("late", FakeStorage()))
            self.inventory.offer_changed()
        return super().topology()


def facts_of(inventory: Inventory) -> HostFacts:
    inventory.look()
    untold = inventory.untold()
    assert untold is not None
    assert untold.snapshot.facts is not None
    return untold.snapshot.facts


def reading(host: FakeHypervisor, fleet: FakeFleet) -> Inventory:
    addresses = HostAddresses("qemu:///system", "qemu+tcp://h1/system", "h1", "h1", "h1")
    settings = AgentSettings("h1", addresses, encryption="off")
    clock, concurrency = fleet.clock, fleet.concurrency
    numbering = Numbering(clock, concurrency)
    reports, stopping = RecordingReports(), Latch(concurrency)
    window = Window(concurrency)
    return Inventory(
        AgentPorts(settings, host, clock, concurrency, reports, stopping, numbering, window)
    )


def test_a_pool_that_comes_while_the_host_is_read_is_seen_by_the_next_look() -> None:
    fleet = FakeFleet(SystemClock(), Threads())
    host = Changing(fleet, "h1", FACTS)
    host.inventory = inventory = reading(host, fleet)
    assert "late" not in facts_of(inventory).pools
    assert "late" in facts_of(inventory).pools


class Slow(FakeHypervisor):
    """A guest goes after it was listed, and is looked at before the list is there."""

    inventory: Inventory
    goes = ""

    def list_domains(self) -> Sequence[DomainSummary]:
        listed = super().list_domains()
        if self.goes:
            del self.domains[self.goes]
            self.inventory.look_at(self.goes)
        return listed


def test_what_was_read_of_one_guest_is_not_undone_by_an_older_look_at_all() -> None:
    fleet = FakeFleet(SystemClock(), Threads())
    host = Slow(fleet, "h1", FACTS)
    host.inventory = inventory = reading(host, fleet)
    stays, goes = (FakeGuest(name, str(uuid.uuid4())) for name in ("stays", "goes"))
    for guest in (stays, goes):
        host.add_guest(guest)
    inventory.look()
    host.goes = goes.id
    inventory.look()
    assert inventory.domain(goes.id) is None
    assert inventory.domain(stays.id) is not None
    host.goes = ""
    host.add_guest(goes)
    inventory.look()
    assert inventory.domain(goes.id) is not None


def test_one_guest_is_read_for_what_happens_to_it_and_no_other() -> None:
    fleet = FakeFleet(SystemClock(), Threads())
    host = FakeHypervisor(fleet, "h1", FACTS)
    inventory = reading(host, fleet)
    inventory.look()
    known, unseen = (FakeGuest(name, str(uuid.uuid4())) for name in ("known", "unseen"))
    for guest in (known, unseen):
        host.add_guest(guest)
    assert inventory.look_at(known.id) is not None
    assert inventory.domain(known.id) is not None
    assert inventory.domain(unseen.id) is None

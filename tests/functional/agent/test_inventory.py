"""What an agent reads of its host while that changes."""

from __future__ import annotations

from migrator.compute_agent.context import AgentPorts
from migrator.compute_agent.inventory import Inventory
from migrator.compute_agent.latch import Latch
from migrator.compute_agent.numbering import Numbering
from migrator.compute_agent.settings import AgentSettings
from migrator.model import HostAddresses, HostFacts, HostTopology
from migrator.threads import SystemClock, Threads
from tests.fakes.hypervisor import FACTS, FakeFleet, FakeHypervisor
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


def test_a_pool_that_comes_while_the_host_is_read_is_seen_by_the_next_look() -> None:
    fleet = FakeFleet(SystemClock(), Threads())
    host = Changing(fleet, "h1", FACTS)
    addresses = HostAddresses("qemu:///system", "qemu+tcp://h1/system", "h1", "h1", "h1")
    settings = AgentSettings("h1", addresses, encryption="off")
    clock, concurrency = fleet.clock, fleet.concurrency
    numbering = Numbering(clock, concurrency)
    reports, stopping = RecordingReports(), Latch(concurrency)
    ports = AgentPorts(settings, host, clock, concurrency, reports, stopping, numbering)
    host.inventory = inventory = Inventory(ports)
    assert "late" not in facts_of(inventory).pools
    assert "late" in facts_of(inventory).pools

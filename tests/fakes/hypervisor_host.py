"""One fake host: its domains and pools, and what a test or another fake host may do to it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import msgspec

from migrator.compute_agent.disk_xml import disk_facts
from migrator.compute_agent.held import held
from migrator.compute_agent.ports import (
    ConnectionChanged,
    HypervisorEvent,
    LifecycleEvent,
    OfferChanged,
)
from migrator.compute_agent.requested import requested
from migrator.device_address import name_of
from migrator.errors import Refused, Transient
from migrator.messages import DiskFacts, TransferPlan
from migrator.model import (
    ACTIVE_STATES,
    DiskLayer,
    DomainState,
    DomainSummary,
    DomainView,
    HostCell,
    HostFacts,
    HostTopology,
    Machines,
    PciDevice,
    Placement,
    Reason,
    RequestSpec,
    VolumeCopy,
)
from tests.fakes.hypervisor_domain import FakeDomain, FakeGuest
from tests.fakes.hypervisor_pools import FakePools, FakeStorage
from tests.fakes.hypervisor_signals import Signal

if TYPE_CHECKING:
    from tests.fakes.hypervisor import FakeFleet

MACHINES = ("pc-q35-7.2", "q35", "pc-i440fx-7.2", "pc")


def one_cell(cpus: int, memory_mib: int) -> HostTopology:
    """A host without NUMA, siblings and devices."""
    every = tuple(range(cpus))
    return HostTopology(
        cells=(HostCell(0, memory_mib, tuple((cpu,) for cpu in every), (0,)),),
        dedicated_cpus=every,
        shared_cpus=every,
    )


@functools.lru_cache(maxsize=256)
def _asks(xml: str) -> tuple[Placement, RequestSpec]:
    """What a guest has of its host, and what it asks for."""
    has = held(xml)
    return has, requested(xml, has)


def without_device(domain_xml: str, device_xml: str) -> str:
    """A domain's XML without one device, told by its name."""
    root = ElementTree.fromstring(domain_xml)
    devices = root.find("devices")
    assert devices is not None
    before, name = len(devices), name_of(ElementTree.fromstring(device_xml))
    for device in list(devices):
        if name_of(device) == name:
            devices.remove(device)
    if len(devices) == before:
        return domain_xml
    return ElementTree.tostring(root, encoding="unicode")


class FakeHost:
    """What :class:`tests.fakes.hypervisor.FakeHypervisor` stands on."""

    def __init__(self, fleet: FakeFleet, name: str, facts: HostFacts) -> None:
        self.fleet = fleet
        self.name = name
        self.peer_uri = f"qemu+tcp://{name}/system"
        self.host_uuid = facts.host_uuid or fleet.concurrency.fresh_id()
        self.facts = replace(
            facts,
            host_uuid=self.host_uuid,
            machines=tuple(Machines(facts.arch, kind, MACHINES) for kind in ("kvm", "qemu")),
        )
        self.parts = one_cell(facts.cpus, facts.memory_mib)
        self.guests_let_go = True
        """Guests unplug what they are asked to."""
        self.pages_free: dict[tuple[int, int], int] = {}
        self.domains: dict[str, FakeDomain] = {}
        self.pools = FakePools(self.host_uuid, fleet.concurrency.fresh_id())
        self.machines: tuple[str, ...] = MACHINES
        self.lacking_features: frozenset[str] = frozenset()
        self.fails: dict[str, Exception] = {}
        """Verb name -> what it raises; for faults that have no switch of their own."""
        self.copied: list[VolumeCopy] = []
        """Every volume that was copied from here, in order."""
        self.garbles = 0
        """So many volumes copied from here arrive as something else."""
        self.directories: dict[str, FakeStorage] = {}
        """Outside of its pools: path -> what is in it."""
        self.deaf_guests = False
        """Its guests do not shut down when asked to."""
        self.up = True
        self._listeners: list[Callable[[HypervisorEvent], None]] = []
        self.pools.on_change = self._pool_changed

    # -- what a test may do to the host

    def add_guest(self, guest: FakeGuest) -> str:
        """Define and start it; its id."""
        xml = guest.domain_xml()
        domain = FakeDomain(
            id=guest.id,
            name=guest.name,
            state=DomainState.RUNNING if guest.running else DomainState.SHUTOFF,
            reason=Reason.BOOTED if guest.running else Reason.UNKNOWN,
            live_xml=xml if guest.running else None,
            inactive_xml=xml if guest.persistent or not guest.running else None,
            autostart=guest.autostart,
        )
        with self.fleet.lock:
            self.domains[guest.id] = domain
            if domain.persistent:
                self.emit(domain, "defined", "added")
            if guest.running:
                self.emit(domain, "started", "booted")
        return guest.id

    def have(self, cpus: int, devices: Sequence[PciDevice] = ()) -> None:
        """Be a host with so many CPUs and these devices; before its agent looks."""
        self.facts = replace(self.facts, cpus=cpus)
        self.parts = replace(one_cell(cpus, self.facts.memory_mib), devices=tuple(devices))

    def retune(self, instance_id: str, cputune: str) -> None:
        """As by `virsh vcpupin --live`: libvirt tells nobody but those who listen for just that."""
        with self.fleet.lock:
            domain = self.domains[instance_id]
            assert domain.live_xml is not None
            head, _, rest = domain.live_xml.partition("<cputune>")
            domain.live_xml = f"{head}<cputune>{cputune}</cputune>{rest.partition('</cputune>')[2]}"

    def kill_libvirtd(self) -> None:
        """Its guests go on; transfers to and from it do not."""
        with self.fleet.lock:
            self.up = False
            for domain in list(self.domains.values()):
                transfer = domain.transfer
                if transfer is not None and transfer.source is self:
                    transfer.signal(Signal.SOURCE_LIBVIRT_DOWN)
                elif transfer is not None and transfer.postcopy is None:
                    self.domains.pop(domain.id)
            for transfer in self.fleet.transfers():
                if transfer.destination is self:
                    transfer.signal(Signal.PEER_CLOSED)
            self.notify(ConnectionChanged(False, "libvirtd was killed"))

    def start_libvirtd(self) -> None:
        with self.fleet.lock:
            self.up = True
            self.notify(ConnectionChanged(True))

    def kill_qemu(self, instance_id: str) -> None:
        """The guest dies here."""
        with self.fleet.lock:
            self.end(self.domains[instance_id], "failed", Reason.CRASHED)

    def power_off(self, instance_id: str) -> None:
        """The guest shuts itself down."""
        with self.fleet.lock:
            self.end(self.domains[instance_id], "shutdown")

    # -- between fakes; the fleet's lock is held

    def find(self, instance_id: str) -> FakeDomain | None:
        return self.domains.get(instance_id)

    def appear(self, domain: FakeDomain) -> None:
        self.domains[domain.id] = domain

    def end(self, domain: FakeDomain, detail: str, reason: Reason = Reason.OTHER) -> None:
        """Its QEMU process is gone."""
        domain.live_xml, domain.state, domain.reason = None, DomainState.SHUTOFF, reason
        self.emit(domain, "stopped", detail)
        self.forget_if_nothing_left(domain)
        if domain.transfer is not None:
            here = domain.transfer.source is self
            domain.transfer.signal(Signal.SOURCE_GONE if here else Signal.DESTINATION_GONE)

    def forget_if_nothing_left(self, domain: FakeDomain) -> None:
        if not domain.active and not domain.persistent and self.find(domain.id) is domain:
            self.domains.pop(domain.id)

    def why_not_send(self, plan: TransferPlan) -> str | None:
        """What libvirt and QEMU of this version say to the way memory is to be sent."""
        flags, sending = set(plan.flags), plan.sending
        parallel, packed = "parallel" in flags, sending.compression
        knows_zstd = self.facts.libvirt_version >= 9_004_000
        if sending.parallel and not parallel:
            return "invalid argument: Turn parallel migration on to tune it"
        if "zerocopy" in flags and not parallel:
            return "Requested operation is not valid: zero-copy is only available for parallel migration"
        if packed == "zstd" and not knows_zstd:
            return "invalid argument: Unsupported compression method 'zstd'"
        if packed == "zstd" and not parallel:
            return "Compression method 'zstd' is only supported with parallel migration"
        if packed == "xbzrle" and parallel and knows_zstd:
            return "Compression method 'xbzrle' isn't supported with parallel migration"
        if "zerocopy" in flags and (packed or "tls" in flags):
            return "Zero copy only available for non-compressed non-TLS multifd migration"
        between = 8_000_000 <= self.facts.hypervisor_version < 10_001_000
        if parallel and "postcopy" in flags and between:
            return "Postcopy is not yet compatible with multifd"
        return None

    def why_not_receive(self, domain: FakeDomain, plan: TransferPlan) -> str | None:
        """What this host's libvirt says to a guest that wants to come; None when it may."""
        if not self.up:
            return Signal.PEER_CLOSED.value
        for other in self.domains.values():
            if other.id == domain.id or other.name == domain.name:
                return f"operation failed: domain '{other.name}' already exists or is active"
        layered = "non_shared_inc" in plan.flags
        copied = plan.migrate_disks if layered or "non_shared_disk" in plan.flags else ()
        disks = [disk for disk in domain.disks if disk.volume and not disk.read_only]
        shared = [disk for disk in disks if disk.target not in copied]
        if shared and "unsafe" not in plan.flags:
            return "Unsafe migration: Migration without shared storage is unsafe"
        there = [each for each in disk_facts(plan.destination_xml) if each.target in copied]
        if layered and any(disk.source_type == "volume" for disk in there):
            return (
                "Operation not supported: pre-creation of storage targets for incremental storage "
                "migration is not supported"
            )
        there = [self.resolved(each) for each in there]
        for disk in (*shared, *there):
            if not self.pools.knows(disk.pool or "", disk.volume or ""):
                return (
                    f"Storage volume not found: no storage vol with matching name '{disk.volume}'"
                )
        return None

    def resolved(self, disk: DiskFacts) -> DiskFacts:
        """With the pools that hold its paths."""
        chain = [self._resolved_layer(layer) for layer in disk.chain]
        found = None if disk.pool or not disk.path else self.pools.at_path(disk.path)
        pool, volume = found or (disk.pool, disk.volume)
        return msgspec.structs.replace(disk, pool=pool, volume=volume, chain=chain)

    def _resolved_layer(self, layer: DiskLayer) -> DiskLayer:
        if layer.pool is not None and layer.volume is not None:
            return replace(layer, path=self.pools.path_of(layer.pool, layer.volume))
        pool, volume = self.pools.at_path(layer.path or "") or (None, None)
        return replace(layer, pool=pool, volume=volume)

    def emit(self, domain: FakeDomain, event: str, detail: str) -> None:
        self.notify(LifecycleEvent(domain.id, domain.name, event, detail))

    def notify(self, event: HypervisorEvent) -> None:
        if self.up or isinstance(event, ConnectionChanged):
            for listener in self._listeners:
                listener(event)

    # -- inside

    def _pool_changed(self, name: str) -> None:
        """Pools over directories that hold no guest's disks are nobody's business."""
        if not name.startswith("migrator-state-"):
            self.notify(OfferChanged(name))

    def _enter(self, verb: str) -> None:
        if not self.up:
            raise Transient("libvirt.unreachable", f"libvirt on {self.name} cannot be reached")
        if verb in self.fails:
            raise self.fails[verb]

    def _active(self, instance_id: str) -> FakeDomain:
        domain = self.domains.get(instance_id)
        if domain is None or not domain.active:
            raise Refused("guest.not_active", f"{instance_id} does not run on {self.name}")
        return domain

    def _without_job(self, instance_id: str) -> FakeDomain:
        domain = self.domains.get(instance_id)
        if domain is None:
            raise Refused("guest.not_active", f"{self.name} has no domain {instance_id}")
        if domain.transfer is not None:
            raise Transient("libvirt.error", "a job runs on the domain; it cannot be changed now")
        return domain

    def _measured(self, domain: FakeDomain, disk: DiskFacts) -> DiskFacts:
        """With what its QEMU and its pool know of it."""
        disk = self.resolved(disk)
        if disk.pool is None or disk.volume is None or not self.pools.knows(disk.pool, disk.volume):
            return disk
        volume = self.pools.volume(disk.pool, disk.volume)
        if volume is None:
            return disk
        return msgspec.structs.replace(
            disk,
            allocated=volume.allocated,
            virtual_size=volume.size if domain.active else None,
            written=volume.allocated if domain.active else None,
        )

    def _view(self, domain: FakeDomain) -> DomainView:
        transfer = domain.transfer
        leaving = transfer is not None and transfer.source is self
        return DomainView(
            state=domain.state,
            reason=domain.reason,
            name=domain.name,
            persistent=domain.persistent,
            autostart=domain.autostart,
            mark=domain.mark,
            job=transfer.sample() if transfer is not None and leaving else None,
        )

    def _summary(self, domain: FakeDomain) -> DomainSummary:
        transfer = domain.transfer
        has, spec = _asks(domain.xml)
        return DomainSummary(
            id=domain.id,
            name=domain.name,
            state=domain.state,
            reason=domain.reason,
            persistent=domain.persistent,
            vcpus=domain.vcpus,
            memory_mib=domain.memory_mib,
            incoming=transfer is not None and transfer.source is not self,
            held=has if domain.state in ACTIVE_STATES else None,
            spec=spec,
        )

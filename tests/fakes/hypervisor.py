"""A fleet of fake hosts that migrate guests to each other: the Hypervisor port without libvirt.

    fleet = FakeFleet(clock, concurrency, timing=FAST)
    h1, h2 = fleet.add_host("h1"), fleet.add_host("h2")
    fleet.share_pool("shared", ["h1", "h2"], volumes=["web1-vda"])
    h1.add_guest(FakeGuest("web1", WEB1, disks=[FakeDisk("shared", "web1-vda")]))
    h1.migrate(WEB1, plan)

Time and workers come from :mod:`migrator.ports`, so it runs under a virtual clock as well. Behaviour
is what libvirt 9.0 was seen to do; ``tests/contract/hypervisor`` runs on both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from migrator.compute_agent.ports import ConnectionChanged, DomainDescription, HypervisorEvent
from migrator.errors import Broken, Refused, Transient
from migrator.messages import PlannedVolume, PoolIdentity, TransferPlan
from migrator.model import (
    AttemptMark,
    DomainState,
    DomainSummary,
    DomainView,
    GuestCpu,
    HostFacts,
    HostTopology,
    JobSample,
    KernelFacts,
    PoolFacts,
    Statistics,
    VolumeInfo,
)
from migrator.ports import Clock, Concurrency
from tests.fakes.hypervisor_copies import FakeCopies
from tests.fakes.hypervisor_cpus import offers, written_out
from tests.fakes.hypervisor_domain import FakeDisk, FakeGuest
from tests.fakes.hypervisor_host import without_device
from tests.fakes.hypervisor_offline import FakeOffline
from tests.fakes.hypervisor_pools import FakePool, FakeStorage, FakeVolume
from tests.fakes.hypervisor_signals import FAST, FakeTiming, Signal
from tests.fakes.hypervisor_steering import FakeSteering
from tests.fakes.hypervisor_transfer import FakeTransfer

__all__ = [
    "FAST",
    "FakeDisk",
    "FakeFleet",
    "FakeGuest",
    "FakeHypervisor",
    "FakeTiming",
    "Signal",
]

FLAGS = frozenset(
    {
        "compressed",
        "zerocopy",
        "live",
        "peer2peer",
        "persist_dest",
        "undefine_source",
        "unsafe",
        "tls",
        "abort_on_error",
    }
    | {"auto_converge", "parallel", "zerocopy", "compressed", "change_protection", "postcopy"}
    | {"non_shared_disk", "non_shared_inc", "non_shared_synchronous_writes"}
)
"""Flags the fake takes; what it cannot do (disks) it does not."""
ABSENT = DomainView(DomainState.ABSENT)
FACTS = HostFacts(9_000_000, 7_002_022, "x86_64", 8, 16_384, networks=("default",))


class FakeFleet:
    """Hosts that can reach each other, one clock, one lock; and what a test may do to them."""

    def __init__(
        self, clock: Clock, concurrency: Concurrency, timing: FakeTiming | None = None
    ) -> None:
        self.clock = clock
        self.concurrency = concurrency
        self.timing = timing or FakeTiming()
        self.lock = concurrency.lock()
        self.hosts: dict[str, FakeHypervisor] = {}
        self.held = False
        """Transfers that start now copy until :meth:`release`."""
        self.disks_held = False
        """Transfers mirror their disks until :meth:`release`."""
        self.restless_disks = False
        """Guests write to their disks as fast as these are copied."""
        self.source_vanishes = False
        """Its host has lost its power: a destination's QEMU that waits for a page never finds out."""
        self.lose_replies = False
        """The destination's answers to the source are dropped just before the switch."""
        self.stalled = False
        """The link for memory is cut, which post-copy does not notice: see :meth:`stall`."""
        self.postcopy_at_will = False
        """Transfers can go on as post-copy whatever they were started with."""
        self.dirty_pages_per_s = 0

    def add_host(self, name: str, facts: HostFacts = FACTS) -> FakeHypervisor:
        """A host the others reach as ``qemu+tcp://NAME/system``."""
        host = FakeHypervisor(self, name, facts)
        self.hosts[name] = host
        return host

    def by_peer_uri(self, peer_uri: str) -> FakeHypervisor | None:
        return next((host for host in self.hosts.values() if host.peer_uri == peer_uri), None)

    def share_pool(
        self, name: str, hosts: Sequence[str], volumes: Sequence[str] = (), kind: str = "dir"
    ) -> FakeStorage:
        """One storage behind a pool of that name on each of ``hosts``."""
        storage = FakeStorage({volume: FakeVolume() for volume in volumes})
        for host in hosts:
            self.hosts[host].pools.add(
                FakePool(name, storage, kind, f"/{name}", known=set(volumes))
            )
        return storage

    def hold_disks(self) -> None:
        """Let transfers mirror their disks without end."""
        self.disks_held = True

    def hold(self) -> None:
        """Let transfers that start from now on copy without end."""
        self.held = True

    def release(self) -> None:
        """Let held transfers finish."""
        self.held = self.disks_held = False
        self.signal(Signal.RELEASE)

    def cut(self) -> None:
        """Drop everything between the hosts, for transfers that run now."""
        self.signal(Signal.CUT)

    def stall(self, stalled: bool = True) -> None:
        """Cut the link for memory and nothing else, or heal it: pages in flight wait."""
        self.stalled = stalled
        self.signal(Signal.LINK)

    def iterate(self) -> None:
        """Every transfer begins to go over the memory once more."""
        with self.lock:
            for transfer in self.transfers():
                transfer.iterate()

    def signal(self, signal: Signal) -> None:
        """Tell every running transfer."""
        with self.lock:
            for transfer in self.transfers():
                transfer.signal(signal)

    def transfers(self) -> Sequence[FakeTransfer]:
        """Those that run, also when nothing of them is at the destination yet."""
        return [
            domain.transfer
            for host in self.hosts.values()
            for domain in host.domains.values()
            if domain.transfer is not None and domain.transfer.source is host
        ]


class FakeHypervisor(FakeSteering, FakeCopies, FakeOffline):
    """:class:`migrator.compute_agent.ports.Hypervisor`, one verb after the other."""

    # -- reading

    def host_facts(self) -> HostFacts:
        self._enter("host_facts")
        return replace(
            self.facts,
            pools=self.pools.active(),
            pool_facts=tuple(self.pools.facts()),
            cpu_offers=offers(self.facts.arch, self.lacking_features),
        )

    def kernel(self, migration_address: str) -> KernelFacts:
        self._enter("kernel")
        return self.facts.kernel

    def topology(self) -> HostTopology:
        self._enter("topology")
        return self.parts

    def free_pages(self) -> Mapping[tuple[int, int], int]:
        self._enter("free_pages")
        return dict(self.pages_free)

    def list_domains(self) -> Sequence[DomainSummary]:
        self._enter("list_domains")
        with self.fleet.lock:
            return [self._summary(domain) for domain in self.domains.values()]

    def summary(self, instance_id: str) -> DomainSummary | None:
        self._enter("summary")
        with self.fleet.lock:
            domain = self.domains.get(instance_id)
            return None if domain is None else self._summary(domain)

    def describe(self, instance_id: str) -> DomainDescription | None:
        self._enter("describe")
        with self.fleet.lock:
            domain = self.domains.get(instance_id)
            if domain is None:
                return None
            return DomainDescription(
                id=domain.id,
                name=domain.name,
                view=self._view(domain),
                live_xml=domain.xml,
                inactive_xml=domain.inactive_xml,
                full_live_xml=domain.xml,
                disks=tuple(self._measured(domain, disk) for disk in domain.disks),
                has_managed_save=domain.saved_xml is not None,
                job_active=domain.transfer is not None,
            )

    def view(self, instance_id: str) -> DomainView:
        self._enter("view")
        with self.fleet.lock:
            domain = self.domains.get(instance_id)
            return ABSENT if domain is None else self._view(domain)

    def id_of(self, name: str) -> str | None:
        self._enter("id_of")
        with self.fleet.lock:
            return next((each.id for each in self.domains.values() if each.name == name), None)

    def missing_features(
        self, arch: str, machine: str, virt_type: str, cpu_xml: str
    ) -> Sequence[str]:
        self._enter("missing_features")
        guest = written_out(cpu_xml)
        return [] if guest is None else sorted({*guest.features} & self.lacking_features)

    def written_out(self, arch: str, machine: str, virt_type: str, cpu_xml: str) -> GuestCpu | None:
        self._enter("written_out")
        return written_out(cpu_xml)

    def machine_types(self, arch: str, virt_type: str) -> Sequence[str]:
        self._enter("machine_types")
        return self.machines if arch == self.facts.arch and virt_type == "qemu" else ()

    def disk_writes(self, instance_id: str) -> Mapping[str, int]:
        self._enter("disk_writes")
        described = self.describe(instance_id)
        disks = described.disks if described is not None else ()
        return {disk.target: disk.written for disk in disks if disk.written is not None}

    def active_networks(self) -> Sequence[str]:
        self._enter("active_networks")
        return self.facts.networks

    def job(self, instance_id: str) -> JobSample | None:
        self._enter("job")
        return self.view(instance_id).job

    def completed_job(self, instance_id: str) -> Statistics | None:
        self._enter("completed_job")
        with self.fleet.lock:
            domain = self.domains.get(instance_id)
            return domain.completed if domain is not None and domain.active else None

    # -- storage

    def refresh_pool(self, pool: str) -> None:
        self._enter("refresh_pool")
        self.pools.refresh(pool)

    def has_volume(self, pool: str, volume: str) -> bool:
        self._enter("has_volume")
        return self.pools.has_volume(pool, volume)

    def write_pool_identity(self, pool: str, volumes: Sequence[str] = ()) -> PoolIdentity:
        self._enter("write_pool_identity")
        return self.pools.write_identity(pool, volumes)

    def read_pool_identity(self, pool: str, written_by: PoolIdentity) -> PoolIdentity | None:
        self._enter("read_pool_identity")
        return self.pools.read_identity(pool, written_by)

    def pool_facts(self) -> Sequence[PoolFacts]:
        self._enter("pool_facts")
        return self.pools.facts()

    def volume_info(self, pool: str, volume: str) -> VolumeInfo | None:
        self._enter("volume_info")
        return self.pools.info(pool, volume)

    def read_volume(self, pool: str, volume: str, offset: int, length: int) -> bytes:
        self._enter("read_volume")
        return self.pools.read(pool, volume, offset, length)

    def create_volume(self, wanted: PlannedVolume) -> bool:
        self._enter("create_volume")
        with self.fleet.lock:
            return self.pools.create(wanted)

    def delete_volume(self, pool: str, volume: str) -> bool:
        self._enter("delete_volume")
        with self.fleet.lock:
            return self.pools.delete(pool, volume)

    # -- changing

    def set_mark(self, instance_id: str, mark: AttemptMark | None) -> None:
        self._enter("set_mark")
        with self.fleet.lock:
            if mark is None and instance_id not in self.domains:
                return
            self._without_job(instance_id).set_mark(mark)

    def attach_device(self, instance_id: str, device_xml: str) -> None:
        self._enter("attach_device")
        with self.fleet.lock:
            domain = self._active(instance_id)
            assert domain.live_xml is not None
            before, _, after = domain.live_xml.partition("<memballoon")
            domain.live_xml = f"{before}{device_xml}\n    <memballoon{after}"

    def detach_device(self, instance_id: str, device_xml: str) -> None:
        self._enter("detach_device")
        with self.fleet.lock:
            domain = self._active(instance_id)
            assert domain.live_xml is not None
            if self.guests_let_go:
                domain.live_xml = without_device(domain.live_xml, device_xml)

    def set_autostart(self, instance_id: str, autostart: bool) -> None:
        self._enter("set_autostart")
        with self.fleet.lock:
            domain = self._without_job(instance_id)
            if autostart and not domain.persistent:
                raise Transient(
                    "libvirt.error",
                    "Requested operation is not valid: cannot set autostart for transient domain",
                )
            domain.autostart = autostart

    def migrate(self, instance_id: str, plan: TransferPlan) -> None:
        self._enter("migrate")
        unknown = sorted(set(plan.flags) - FLAGS)
        if unknown:
            raise Refused("request.invalid", f"unknown migration flags: {', '.join(unknown)}")
        with self.fleet.lock:
            domain = self._active(instance_id)
            destination = self.fleet.by_peer_uri(plan.peer_uri)
            if domain.transfer is not None:
                raise Broken("transfer.failed", "another migration job is already running")
            if destination is None or not destination.up:
                raise Broken("transfer.failed", f"unable to connect to server at {plan.peer_uri}")
            why_not = self.why_not_send(plan)
            if why_not is not None:
                raise Broken("transfer.failed", why_not)
            transfer = FakeTransfer(self, destination, domain, plan)
            domain.transfer = transfer
        transfer.run()

    def abort_job(self, instance_id: str) -> bool:
        self._enter("abort_job")
        with self.fleet.lock:
            domain = self.domains.get(instance_id)
            transfer = domain.transfer if domain is not None else None
            if transfer is None or transfer.source is not self:
                return False
            if transfer.switched or transfer.postcopy is not None:
                return False
            transfer.signal(Signal.ABORT)
            return True

    def destroy(self, instance_id: str) -> None:
        self._enter("destroy")
        with self.fleet.lock:
            domain = self.domains.get(instance_id)
            if domain is not None and domain.active:
                self.emit(domain, "shutdown", "host")
                self.end(domain, "destroyed")

    def undefine(self, instance_id: str) -> None:
        self._enter("undefine")
        with self.fleet.lock:
            domain = self.domains.get(instance_id)
            if domain is not None and domain.persistent:
                domain.inactive_xml, domain.autostart = None, False
                self.emit(domain, "undefined", "removed")
                self.forget_if_nothing_left(domain)

    # -- events and life

    def subscribe(self, listener: Callable[[HypervisorEvent], None]) -> None:
        self._listeners.append(listener)
        listener(ConnectionChanged(self.up, "" if self.up else "libvirtd is down"))

    def close(self) -> None:
        self._listeners.clear()

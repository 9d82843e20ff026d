"""The :class:`~migrator.compute_agent.ports.Hypervisor` port over libvirt.

Connections to the host, each for one thing, so that what hangs in one cannot hold up another, and each
but the first and the last as many as calls are made at the same moment:

===========  ==================================================================================
events       lifecycle and job events; nothing is asked on it
inventory    what the host has, which asks a QEMU nothing unless a guest is paused for a migration
control      looking at single domains, statistics, abort, destroy, marks
storage      pools and volume streams; opened at first use. A pool on a dead server hangs, and
             must not hang a fence
transfer     one per running transfer, for migrateToURI3 alone; closed after it
copy         a few per running copy of volumes, half of them to the other host's libvirt
===========  ==================================================================================
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from migrator.compute_agent import kernel_look
from migrator.compute_agent import libvirt_changes as changes
from migrator.compute_agent import libvirt_copying as copying
from migrator.compute_agent import libvirt_cpus as cpus
from migrator.compute_agent import libvirt_devices as devices
from migrator.compute_agent import libvirt_domains as domains
from migrator.compute_agent import libvirt_host as host
from migrator.compute_agent import libvirt_offline as offline
from migrator.compute_agent import libvirt_tuning as tuning
from migrator.compute_agent.capabilities import host_capabilities, machine_types
from migrator.compute_agent.libvirt_connections import ANSWER_S, Channel
from migrator.compute_agent.libvirt_disks import disk_writes
from migrator.compute_agent.libvirt_transfer import resume_postcopy, transfer
from migrator.compute_agent.libvirt_watch import EventFeed
from migrator.compute_agent.ports import DomainDescription, HypervisorEvent
from migrator.messages import PlannedVolume, PoolIdentity, TransferPlan
from migrator.model import (
    AttemptMark,
    DomainSummary,
    DomainView,
    GuestCpu,
    HostFacts,
    HostTopology,
    JobSample,
    KernelFacts,
    PoolFacts,
    Range,
    Statistics,
    VolumeCopy,
    VolumeDigest,
    VolumeInfo,
    VolumeRef,
)
from migrator.storage import libvirt_directories as directories
from migrator.storage import libvirt_identity as identity
from migrator.storage import libvirt_pools as pools
from migrator.storage import libvirt_volumes as volumes
from migrator.storage.ports import CopyWatch

PROBE_S = 15.0
"""Capabilities: libvirtd probes every QEMU binary at the first request, 4 s on a busy two-core host."""
STORAGE_S = 15.0
"""A refresh reads the head of every volume."""
BUILD_S = 60.0
"""Making or deleting a volume: libvirt forks a tool for it, and a server behind the pool may be slow."""
BLOCKED_S = 35.0
"""libvirt waits 30 s for a job on the domain to end before it fails a change."""
START_S = 60.0
"""A QEMU starts in 0.2 s idle, many loaded; one that reads its memory back takes as long as that is
large."""
DESTROY_S = 35.0
"""libvirt waits for a stopped QEMU before it kills it hard; 11.6 s seen."""


class LibvirtHypervisor:
    """One host's libvirt; every verb as the port describes it. Nothing is opened before it is used."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._feed = EventFeed(uri)
        self._inventory = Channel(uri, "inventory")
        self._control = Channel(uri, "control")
        self._storage = Channel(uri, "storage")
        self._nonce = str(uuid.uuid4())
        """Proof that what another host reads in a pool was written by this very process."""
        self._host_uuid = ""

    # -- reading

    def host_facts(self) -> HostFacts:
        return self._inventory.call("reading the host's facts", host.host_facts, PROBE_S)

    def kernel(self, migration_address: str) -> KernelFacts:
        if not kernel_look.is_local(self._uri):
            return KernelFacts()
        look = partial(host.kernel, migration_address=migration_address)
        return self._inventory.call("reading what the kernel allows", look, PROBE_S)

    def topology(self) -> HostTopology:
        return self._inventory.call("reading the host's topology", host.topology, PROBE_S)

    def free_pages(self) -> Mapping[tuple[int, int], int]:
        return self._inventory.call("counting free pages", host.free_pages, PROBE_S)

    def list_domains(self) -> Sequence[DomainSummary]:
        return self._inventory.call("listing domains", domains.list_domains)

    def summary(self, instance_id: str) -> DomainSummary | None:
        work = partial(domains.summary, instance_id=instance_id)
        return self._control.call(f"summing up {instance_id}", work)

    def describe(self, instance_id: str) -> DomainDescription | None:
        work = partial(domains.describe, instance_id=instance_id)
        return self._control.call(f"describing {instance_id}", work)

    def view(self, instance_id: str) -> DomainView:
        work = partial(domains.view, instance_id=instance_id)
        return self._control.call(f"looking at {instance_id}", work)

    def id_of(self, name: str) -> str | None:
        work = partial(domains.id_of, name=name)
        return self._inventory.call(f"looking up domain {name!r}", work)

    def missing_features(
        self, arch: str, machine: str, virt_type: str, cpu_xml: str
    ) -> Sequence[str]:
        work = partial(
            cpus.missing_features,
            arch=arch,
            machine=machine,
            virt_type=virt_type,
            cpu_xml=cpu_xml,
        )
        return self._inventory.call("comparing CPUs", work, PROBE_S)

    def written_out(self, arch: str, machine: str, virt_type: str, cpu_xml: str) -> GuestCpu | None:
        work = partial(
            cpus.written_out, arch=arch, machine=machine, virt_type=virt_type, cpu_xml=cpu_xml
        )
        return self._inventory.call("writing out a CPU", work, PROBE_S)

    def machine_types(self, arch: str, virt_type: str) -> Sequence[str]:
        xml = self._inventory.call("reading capabilities", host.capabilities_xml, PROBE_S)
        return machine_types(xml, arch, virt_type)

    def disk_writes(self, instance_id: str) -> Mapping[str, int]:
        work = partial(disk_writes, instance_id=instance_id)
        return self._control.call(f"reading the disk counters of {instance_id}", work)

    def active_networks(self) -> Sequence[str]:
        return self._inventory.call("listing networks", host.active_networks)

    def job(self, instance_id: str) -> JobSample | None:
        work = partial(domains.job, instance_id=instance_id)
        return self._control.call(f"reading the job of {instance_id}", work)

    def completed_job(self, instance_id: str) -> Statistics | None:
        work = partial(domains.completed_job, instance_id=instance_id)
        return self._control.call(f"reading the last job of {instance_id}", work)

    # -- storage

    def refresh_pool(self, pool: str) -> None:
        self._storage.call(
            f"refreshing pool {pool!r}", partial(pools.refresh, name=pool), STORAGE_S
        )

    def has_volume(self, pool: str, volume: str) -> bool:
        work = partial(pools.has_volume, pool=pool, volume=volume)
        return self._storage.call(f"looking for volume {volume!r} in {pool!r}", work, STORAGE_S)

    def write_pool_identity(self, pool: str, volumes: Sequence[str] = ()) -> PoolIdentity:
        if not self._host_uuid:
            xml = self._inventory.call("reading capabilities", host.capabilities_xml, PROBE_S)
            self._host_uuid = host_capabilities(xml).uuid
        work = partial(
            identity.write_identity,
            name=pool,
            host_uuid=self._host_uuid,
            nonce=self._nonce,
            volumes=volumes,
        )
        return self._storage.call(f"identifying pool {pool!r}", work, STORAGE_S)

    def read_pool_identity(self, pool: str, written_by: PoolIdentity) -> PoolIdentity | None:
        work = partial(identity.read_identity, name=pool, written_by=written_by)
        return self._storage.call(f"identifying pool {pool!r}", work, STORAGE_S)

    def pool_facts(self) -> Sequence[PoolFacts]:
        return self._storage.call("listing pools", pools.pool_facts, STORAGE_S)

    def volume_info(self, pool: str, volume: str) -> VolumeInfo | None:
        work = partial(volumes.volume_info, pool=pool, volume=volume)
        return self._storage.call(f"measuring volume {volume!r} in {pool!r}", work, STORAGE_S)

    def read_volume(self, pool: str, volume: str, offset: int, length: int) -> bytes:
        work = partial(volumes.read_volume, pool=pool, volume=volume, offset=offset, length=length)
        return self._storage.call(f"reading volume {volume!r} in {pool!r}", work, STORAGE_S)

    def create_volume(self, wanted: PlannedVolume) -> bool:
        work = partial(volumes.create_volume, wanted=wanted)
        return self._storage.call(f"making volume {wanted.volume!r}", work, BUILD_S)

    def delete_volume(self, pool: str, volume: str) -> bool:
        work = partial(volumes.delete_volume, pool=pool, volume=volume)
        return self._storage.call(f"deleting volume {volume!r} in {pool!r}", work, BUILD_S)

    def copy_volumes(
        self,
        peer_uri: str,
        copies: Sequence[VolumeCopy],
        watch: CopyWatch,
    ) -> Sequence[VolumeDigest]:
        return copying.copy((self._uri, peer_uri), copies, watch)

    def digest_volumes(
        self, wanted: Sequence[tuple[VolumeRef, Sequence[Range]]], watch: CopyWatch
    ) -> Sequence[VolumeDigest]:
        return copying.digest(self._uri, wanted, watch)

    # -- changing

    def set_mark(self, instance_id: str, mark: AttemptMark | None) -> None:
        work = partial(changes.set_mark, instance_id=instance_id, mark=mark)
        self._control.call(f"marking {instance_id}", work, BLOCKED_S)

    def attach_device(self, instance_id: str, device_xml: str) -> None:
        work = partial(devices.attach_device, instance_id=instance_id, device_xml=device_xml)
        self._control.call(f"attaching a device to {instance_id}", work, BLOCKED_S)

    def detach_device(self, instance_id: str, device_xml: str) -> None:
        work = partial(devices.detach_device, instance_id=instance_id, device_xml=device_xml)
        self._control.call(f"detaching a device from {instance_id}", work, BLOCKED_S)

    def set_autostart(self, instance_id: str, autostart: bool) -> None:
        work = partial(changes.set_autostart, instance_id=instance_id, autostart=autostart)
        self._control.call(f"setting autostart of {instance_id}", work, BLOCKED_S)

    def migrate(self, instance_id: str, plan: TransferPlan) -> None:
        transfer(self._uri, instance_id, plan)

    def abort_job(self, instance_id: str) -> bool:
        work = partial(changes.abort_job, instance_id=instance_id)
        return self._control.call(f"aborting the job of {instance_id}", work)

    def set_max_downtime(self, instance_id: str, milliseconds: int) -> bool:
        work = partial(tuning.set_max_downtime, instance_id=instance_id, milliseconds=milliseconds)
        return self._control.call(f"setting the downtime of {instance_id}", work)

    def set_speed(self, instance_id: str, mib_s: int) -> bool:
        work = partial(tuning.set_speed, instance_id=instance_id, mib_s=mib_s)
        return self._control.call(f"setting the speed of {instance_id}", work)

    def set_postcopy_speed(self, instance_id: str, mib_s: int) -> bool:
        work = partial(tuning.set_postcopy_speed, instance_id=instance_id, mib_s=mib_s)
        return self._control.call(f"setting the post-copy speed of {instance_id}", work)

    def start_postcopy(self, instance_id: str) -> bool:
        work = partial(tuning.start_postcopy, instance_id=instance_id)
        return self._control.call(f"starting post-copy of {instance_id}", work)

    def pause_postcopy(self, instance_id: str) -> bool:
        work = partial(tuning.pause_postcopy, instance_id=instance_id)
        return self._control.call(f"pausing post-copy of {instance_id}", work)

    def resume_postcopy(self, instance_id: str, plan: TransferPlan) -> None:
        resume_postcopy(self._uri, instance_id, plan)

    def measure_dirty_rate(self, instance_id: str, seconds: int) -> int | None:
        work = partial(tuning.measure_dirty_rate, instance_id=instance_id, seconds=seconds)
        deadline_s = ANSWER_S + 2 * seconds
        return self._control.call(f"measuring {instance_id}", work, deadline_s)

    def suspend(self, instance_id: str) -> None:
        work = partial(changes.suspend, instance_id=instance_id)
        self._control.call(f"suspending {instance_id}", work, BLOCKED_S)

    def resume(self, instance_id: str) -> None:
        work = partial(changes.resume, instance_id=instance_id)
        self._control.call(f"resuming {instance_id}", work, BLOCKED_S)

    def destroy(self, instance_id: str) -> None:
        work = partial(changes.destroy, instance_id=instance_id)
        self._control.call(f"destroying {instance_id}", work, DESTROY_S)

    def undefine(self, instance_id: str) -> None:
        work = partial(changes.undefine, instance_id=instance_id)
        self._control.call(f"undefining {instance_id}", work, BLOCKED_S)

    def shutdown(self, instance_id: str) -> None:
        work = partial(offline.shutdown, instance_id=instance_id)
        self._control.call(f"shutting {instance_id} down", work, BLOCKED_S)

    def start(self, instance_id: str) -> None:
        work = partial(offline.start, instance_id=instance_id)
        self._control.call(f"starting {instance_id}", work, START_S)

    def define(self, xml: str) -> None:
        self._control.call("defining a guest", partial(offline.define, xml=xml), BLOCKED_S)

    def saved_xml(self, instance_id: str) -> str | None:
        work = partial(offline.saved_xml, instance_id=instance_id)
        return self._control.call(f"reading the saved image of {instance_id}", work)

    def define_saved(self, instance_id: str, xml: str) -> None:
        work = partial(offline.define_saved, instance_id=instance_id, xml=xml)
        self._control.call(f"writing the saved image of {instance_id}", work, BLOCKED_S)

    def undefine_whole(self, instance_id: str) -> None:
        work = partial(offline.undefine_whole, instance_id=instance_id)
        self._control.call(f"undefining {instance_id}", work, BLOCKED_S)

    def open_directory(self, path: str) -> str:
        work = partial(directories.open_directory, path=path)
        return self._storage.call(f"opening {path}", work, STORAGE_S)

    def close_directory(self, path: str) -> None:
        work = partial(directories.close_directory, path=path)
        self._storage.call(f"closing {path}", work, STORAGE_S)

    # -- events and life

    def subscribe(self, listener: Callable[[HypervisorEvent], None]) -> None:
        self._feed.subscribe(listener)

    def close(self) -> None:
        self._feed.close()
        self._inventory.close()
        self._control.close()
        self._storage.close()

"""What an agent needs of its host: a narrow port, one fake, one contract suite.

Every verb raises :class:`migrator.errors.Transient` ``libvirt.unreachable`` when libvirt cannot be
reached, ``libvirt.timeout`` when it did not answer in time (what was asked may still happen: look
again), and ``libvirt.error`` with libvirt's own words for a failure it explains. A domain that
libvirt says does not exist is a value (``DomainState.ABSENT`` or None), never an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from migrator.compute_agent.offline_ports import OfflineMoves
from migrator.messages import DiskFacts, PlannedVolume, PoolIdentity, TransferPlan
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
    Statistics,
    VolumeInfo,
)


@dataclass(frozen=True)
class DomainDescription:
    """A domain whole, as its libvirt describes it."""

    id: str
    name: str
    view: DomainView
    live_xml: str
    """With VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_MIGRATABLE."""
    inactive_xml: str | None
    """With VIR_DOMAIN_XML_SECURE | VIR_DOMAIN_XML_INACTIVE; None for a transient domain."""
    full_live_xml: str
    """With VIR_DOMAIN_XML_SECURE only: the CPU as running, aliases, resolved paths."""
    disks: tuple[DiskFacts, ...]
    """Sources resolved to (pool, volume) where a pool of this host holds them."""
    has_managed_save: bool
    job_active: bool
    """Any libvirt job runs on it: backup, dump, snapshot, migration."""


@dataclass(frozen=True)
class LifecycleEvent:
    """A domain changed; ``event`` and ``detail`` are libvirt's names in lower case, for example
    ``resumed``/``migrated``, ``suspended``/``migrated``, ``stopped``/``migrated``,
    ``stopped``/``crashed``, ``defined``/``added``, ``undefined``/``removed``."""

    instance_id: str
    name: str
    event: str
    detail: str


@dataclass(frozen=True)
class JobCompleted:
    """libvirt's JOB_COMPLETED event: final statistics of a transfer that left this host."""

    instance_id: str
    statistics: Statistics


@dataclass(frozen=True)
class JobIteration:
    """A transfer that leaves this host has begun to go over the guest's memory once more; its counters
    are worth reading now. 1 is the first pass."""

    instance_id: str
    iteration: int


@dataclass(frozen=True)
class ConnectionChanged:
    """The connection to libvirt was lost, or is back: look at everything again."""

    connected: bool
    why: str = ""


@dataclass(frozen=True)
class OfferChanged:
    """A storage pool or a network of that name came, went, or is another one now."""

    name: str


HypervisorEvent = LifecycleEvent | JobCompleted | JobIteration | OfferChanged | ConnectionChanged


class Hypervisor(OfflineMoves, Protocol):
    """One host's libvirt."""

    # -- reading

    def host_facts(self) -> HostFacts: ...

    def kernel(self, migration_address: str) -> KernelFacts:
        """What the host's kernel tells this process; nothing where that runs on another machine."""
        ...

    def topology(self) -> HostTopology:
        """CPUs, cells, pages and PCI devices, all of them."""
        ...

    def list_domains(self) -> Sequence[DomainSummary]:
        """Every domain, active or defined."""
        ...

    def summary(self, instance_id: str) -> DomainSummary | None:
        """What :meth:`list_domains` says of one; None of one that is not there."""
        ...

    def describe(self, instance_id: str) -> DomainDescription | None: ...

    def view(self, instance_id: str) -> DomainView:
        """State, reason, mark and running job; ``ABSENT`` when libvirt has no such domain."""
        ...

    def id_of(self, name: str) -> str | None:
        """UUID of the domain of that name."""
        ...

    def missing_features(
        self, arch: str, machine: str, virt_type: str, cpu_xml: str
    ) -> Sequence[str]:
        """Names of the CPU features the host lacks to run this CPU; empty when it can.

        By virConnectCompareHypervisorCPU, names by virConnectBaselineHypervisorCPU or the domain
        capabilities. Emulated guests (``virt_type`` qemu) are judged against what QEMU's TCG offers.
        """
        ...

    def written_out(self, arch: str, machine: str, virt_type: str, cpu_xml: str) -> GuestCpu | None:
        """A guest's CPU with the features of its model; None of one that names no model, and where
        libvirt cannot write it out. What :attr:`HostFacts.cpu_offers` lacks of it,
        :meth:`missing_features` finds missing too."""
        ...

    def machine_types(self, arch: str, virt_type: str) -> Sequence[str]:
        """Canonical machine types and their aliases this host's QEMU offers; empty when it cannot
        run that architecture or virtualisation type at all."""
        ...

    def disk_writes(self, instance_id: str) -> Mapping[str, int]:
        """target -> bytes the guest has written to it since its QEMU was started; empty when it does not
        run or libvirt is busy with it."""
        ...

    def free_pages(self) -> Mapping[tuple[int, int], int]:
        """(cell, size in KiB) -> huge pages nothing uses, of every size :meth:`topology` tells."""
        ...

    def active_networks(self) -> Sequence[str]: ...

    def job(self, instance_id: str) -> JobSample | None:
        """The running job, None when none runs."""
        ...

    def completed_job(self, instance_id: str) -> Statistics | None:
        """Statistics of the last ended transfer, as kept by this side's libvirt."""
        ...

    # -- storage

    def refresh_pool(self, pool: str) -> None:
        """Let libvirt see what others put there. :raises Refused: ``pool.missing``."""
        ...

    def has_volume(self, pool: str, volume: str) -> bool:
        """:raises Refused: ``pool.missing`` (also for a pool that is not active)."""
        ...

    def write_pool_identity(self, pool: str, volumes: Sequence[str] = ()) -> PoolIdentity:
        """What identifies the pool, as its kind allows: this agent's nonce, written into it now, or what
        its storage calls those of ``volumes`` that are there."""
        ...

    def read_pool_identity(self, pool: str, written_by: PoolIdentity) -> PoolIdentity | None:
        """The same, as this host's pool of that name shows it; None when it shows nothing of it."""
        ...

    def pool_facts(self) -> Sequence[PoolFacts]:
        """Of every active pool, by name; sizes as libvirt last saw them."""
        ...

    def volume_info(self, pool: str, volume: str) -> VolumeInfo | None:
        """Its length and what it takes; None when it is not there. :raises Refused: ``pool.missing``."""
        ...

    def read_volume(self, pool: str, volume: str, offset: int, length: int) -> bytes:
        """Some of its bytes, fewer where it ends before. :raises Refused: ``pool.missing``,
        ``volume.missing``, ``pool.cannot`` where libvirt has no streams for that kind of pool."""
        ...

    def create_volume(self, wanted: PlannedVolume) -> bool:
        """Make it, empty and sparse; False, and nothing changed, when there is a volume of that name.

        :raises Refused: ``pool.missing``, ``pool.cannot``, ``volume.missing`` (what it stands on)."""
        ...

    def delete_volume(self, pool: str, volume: str) -> bool:
        """Delete it; False when there was none. :raises Refused: ``pool.missing``."""
        ...

    # -- changing

    def set_mark(self, instance_id: str, mark: AttemptMark | None) -> None:
        """Write or remove the attempt's mark in the domain's metadata, live and persistent. Removing is
        success where there is no mark and no domain.

        :raises Transient: ``libvirt.error``, at once, while a job runs on either side (libvirt itself
            would block for 30 s; it still does when a job begins at that very moment).
        :raises Refused: ``guest.not_active`` when there is no domain to mark."""
        ...

    def attach_device(self, instance_id: str, device_xml: str) -> None:
        """Plug a device into the running guest; its definition stays.

        :raises Refused: ``guest.not_active``."""
        ...

    def detach_device(self, instance_id: str, device_xml: str) -> None:
        """Ask the running guest to let go of a device: it is gone once the guest has. Success for one
        it does not have.

        :raises Refused: ``guest.not_active``."""
        ...

    def set_autostart(self, instance_id: str, autostart: bool) -> None: ...

    def migrate(self, instance_id: str, plan: TransferPlan) -> None:
        """Run the transfer on a connection of its own; returns when libvirt's call does.

        :raises Broken: ``transfer.failed`` with libvirt's words; says nothing about where the guest is.
        """
        ...

    def abort_job(self, instance_id: str) -> bool:
        """Ask libvirt to abort; False when it refuses because nothing runs or it is too late."""
        ...

    # Tuning a transfer that leaves this host. False: libvirt refuses, because none runs here that could
    # take it. Like every change they may block for as long as a QEMU hangs.

    def set_max_downtime(self, instance_id: str, milliseconds: int) -> bool:
        """For how long the guest may stand still for the switch."""
        ...

    def set_speed(self, instance_id: str, mib_s: int) -> bool:
        """Limit of pre-copy."""
        ...

    def set_postcopy_speed(self, instance_id: str, mib_s: int) -> bool:
        """Limit of what post-copy sends unasked; 0 for none. Pages the guest waits for come first."""
        ...

    def start_postcopy(self, instance_id: str) -> bool:
        """Let the guest run on the destination now and fetch the rest of its memory from here.

        False also for a transfer that was not started with the flag ``postcopy``. True only says that
        QEMU was told: the states of both hosts show when it has happened."""
        ...

    def pause_postcopy(self, instance_id: str) -> bool:
        """Break a post-copy whose pages do not flow, so that it can be resumed: the source's domain
        becomes paused (postcopy_failed), the destination's running (postcopy_failed) once it notices."""
        ...

    def resume_postcopy(self, instance_id: str, plan: TransferPlan) -> None:
        """Go on with a broken post-copy, with the parameters it was started with (the addresses may be
        others), on a connection of its own; returns when libvirt's call does, the guest has moved then.

        :raises Transient: ``guest.busy`` while the first call has not returned: try again.
        :raises Broken: ``transfer.failed`` with libvirt's words; nothing is lost by it.
        """
        ...

    def measure_dirty_rate(self, instance_id: str, seconds: int) -> int | None:
        """Bytes a second that the guest changes, by sampling its memory for ``seconds`` (1 to 60); takes
        as long. None when the host's QEMU cannot tell. Never during a transfer."""
        ...

    def suspend(self, instance_id: str) -> None: ...

    def resume(self, instance_id: str) -> None: ...

    def destroy(self, instance_id: str) -> None:
        """Kill the QEMU process; success when there was none."""
        ...

    def undefine(self, instance_id: str) -> None:
        """Remove the persistent definition, keeping disks and NVRAM; success when there was none."""
        ...

    # -- events and life

    def subscribe(self, listener: Callable[[HypervisorEvent], None]) -> None:
        """``listener`` is called from libvirt's event thread: it must only put into an inbox."""
        ...

    def close(self) -> None: ...

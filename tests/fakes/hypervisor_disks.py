"""Disks that a fake transfer copies before the memory, as libvirt does with NBD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.compute_agent.disk_xml import disk_facts
from migrator.messages import DiskFacts
from migrator.model import DiskProgress
from tests.fakes.hypervisor_pools import FakeVolume
from tests.fakes.qcow2 import HEAD_BYTES as QCOW2_HEAD

if TYPE_CHECKING:
    from tests.fakes.hypervisor import FakeHypervisor
    from tests.fakes.hypervisor_transfer import FakeTransfer

AGAIN_BYTES_PER_S = 1 << 30


class FakeDiskCopy:
    """The mirrors of one transfer. Everything is there once :meth:`finish` has been called."""

    def __init__(self, transfer: FakeTransfer) -> None:
        self._transfer = transfer
        copies = {"non_shared_disk", "non_shared_inc"} & set(transfer.plan.flags)
        wanted = transfer.plan.migrate_disks if copies else []
        here, far = transfer.source.resolved, transfer.destination.resolved
        there = {disk.target: far(disk) for disk in disk_facts(transfer.plan.destination_xml)}
        self._pairs = [
            (here(disk), there[disk.target])
            for disk in transfer.domain.disks
            if disk.target in wanted
        ]
        self._keeps_head = "non_shared_inc" in copies
        self.began: float | None = None
        self.done = not self._pairs
        restless = transfer.fleet.restless_disks
        self.outrun = restless and "non_shared_synchronous_writes" not in transfer.plan.flags
        """The guest writes to them as fast as they are copied."""

    @property
    def total(self) -> int:
        return sum(self._volume(self._transfer.source, here).size for here, _ in self._pairs)

    @property
    def sent_again(self) -> int:
        """What was written meanwhile, by the clock; libvirt counts it to the whole as well."""
        if self.done or self.began is None or not self.outrun:
            return 0
        return int((self._transfer.fleet.clock.monotonic() - self.began) * AGAIN_BYTES_PER_S)

    @property
    def remaining(self) -> int:
        """By the clock; half of it while the fleet holds disks, or their guest does not let them end."""
        if self.done or self.began is None:
            return 0 if self.done else self.total
        fleet = self._transfer.fleet
        share = (fleet.clock.monotonic() - self.began) / max(fleet.timing.disk_s, 1e-9)
        return int(self.total * (1 - min(share, 0.5 if fleet.disks_held or self.outrun else 0.99)))

    def each(self) -> tuple[DiskProgress, ...]:
        """Of every disk, all of them equally far."""
        share = self.remaining / max(self.total, 1)
        sizes = {
            here.target: self._volume(self._transfer.source, here).size for here, _ in self._pairs
        }
        return tuple(
            DiskProgress(target, size, int(size * share)) for target, size in sizes.items()
        )

    def fits(self) -> bool:
        """Whether the destination's pools take what the guest has written."""
        for here, there in self._pairs:
            storage = self._transfer.destination.pools[there.pool or ""].storage
            used = sum(volume.allocated for volume in storage.volumes.values())
            if used + self._volume(self._transfer.source, here).allocated > storage.capacity:
                return False
        return True

    def finish(self) -> None:
        """The destination's volumes hold what the source's do."""
        for here, there in self._pairs:
            copy = self._volume(self._transfer.destination, there)
            original = self._volume(self._transfer.source, here)
            copy.allocated = original.allocated
            if not (self._keeps_head and there.chain):
                copy.content = original.content
                continue
            # Its own header names what it stands on here.
            copy.content = copy.content[:QCOW2_HEAD] + original.content[QCOW2_HEAD:]
        self.done = True

    def _volume(self, host: FakeHypervisor, disk: DiskFacts) -> FakeVolume:
        found = host.pools.volume(disk.pool or "", disk.volume or "")
        assert found is not None, f"{host.name} has no {disk.pool}/{disk.volume}"
        return found

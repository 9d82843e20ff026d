"""What a fake host does to a running transfer and to the guest it moves: speeds, pauses, post-copy."""

from __future__ import annotations

from migrator.errors import Broken
from migrator.messages import TransferPlan
from migrator.model import DomainState, Reason
from tests.fakes.hypervisor_host import FakeHost
from tests.fakes.hypervisor_signals import Signal
from tests.fakes.hypervisor_transfer import FakeTransfer


class FakeSteering(FakeHost):
    """Part of :class:`tests.fakes.hypervisor.FakeHypervisor`."""

    dirty_rate: int | None = 0
    """What :meth:`measure_dirty_rate` finds, bytes/s."""

    def set_max_downtime(self, instance_id: str, milliseconds: int) -> bool:
        self._enter("set_max_downtime")
        with self.fleet.lock:
            transfer = self._leaving(instance_id)
            if transfer is None or transfer.postcopy is not None:
                return False
            transfer.max_downtime_ms = milliseconds
            return True

    def set_speed(self, instance_id: str, mib_s: int) -> bool:
        self._enter("set_speed")
        with self.fleet.lock:
            transfer = self._leaving(instance_id)
            if transfer is None:
                return False
            transfer.speed_mib_s = mib_s
            return True

    def set_postcopy_speed(self, instance_id: str, mib_s: int) -> bool:
        self._enter("set_postcopy_speed")
        with self.fleet.lock:
            transfer = self._leaving(instance_id)
            if transfer is None:
                return False
            transfer.postcopy_speed_mib_s = mib_s
            transfer.signal(Signal.LINK)
            return True

    def start_postcopy(self, instance_id: str) -> bool:
        self._enter("start_postcopy")
        with self.fleet.lock:
            transfer = self._leaving(instance_id)
            if transfer is None or transfer.switched:
                return False
            if "postcopy" not in transfer.plan.flags and not self.fleet.postcopy_at_will:
                return False
            if transfer.postcopy is None:
                transfer.signal(Signal.START_POSTCOPY)
            return True

    def pause_postcopy(self, instance_id: str) -> bool:
        self._enter("pause_postcopy")
        with self.fleet.lock:
            transfer = self._leaving(instance_id)
            if transfer is None or transfer.postcopy is None or transfer.switched:
                return False
            transfer.signal(Signal.PAUSE_POSTCOPY)
            return True

    def resume_postcopy(self, instance_id: str, plan: TransferPlan) -> None:
        self._enter("resume_postcopy")
        with self.fleet.lock:
            self._active(instance_id)
            transfer = self._leaving(instance_id)
            if transfer is None or transfer.postcopy is None:
                raise Broken("transfer.failed", "domain is not in post-copy")
            postcopy = transfer.postcopy
            postcopy.resume()
        postcopy.wait()

    def measure_dirty_rate(self, instance_id: str, seconds: int) -> int | None:
        self._enter("measure_dirty_rate")
        with self.fleet.lock:
            self._active(instance_id)
        return self.dirty_rate

    def suspend(self, instance_id: str) -> None:
        self._enter("suspend")
        with self.fleet.lock:
            domain = self._active(instance_id)
            if domain.state is not DomainState.PAUSED:
                # While it leaves libvirt tells a user's pause as it tells the switch.
                leaves = self._leaving(instance_id) is not None
                reason, detail = (
                    (Reason.MIGRATION, "migrated") if leaves else (Reason.USER, "paused")
                )
                domain.state, domain.reason = DomainState.PAUSED, reason
                self.emit(domain, "suspended", detail)

    def resume(self, instance_id: str) -> None:
        self._enter("resume")
        with self.fleet.lock:
            domain = self._active(instance_id)
            if domain.state is DomainState.PAUSED:
                domain.state, domain.reason = DomainState.RUNNING, Reason.UNPAUSED
                self.emit(domain, "resumed", "unpaused")

    def _leaving(self, instance_id: str) -> FakeTransfer | None:
        """Its transfer away from here."""
        domain = self.domains.get(instance_id)
        transfer = None if domain is None else domain.transfer
        return transfer if transfer is not None and transfer.source is self else None

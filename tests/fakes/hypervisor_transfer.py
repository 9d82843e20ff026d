"""A transfer between two fake hosts, as libvirt 9.0 behaves in pre-copy; post-copy is next door.

The order of things, as measured: the destination's domain appears (``started``/``migrated``, paused
with reason migration); memory flows; the source pauses (``suspended``/``migrated``); a persistent
destination is defined (``defined``/``added``), then runs (``resumed``/``migrated``); the source stays
visible as paused(migration) for another 1.4 s; then it goes (``stopped``/``migrated``), its statistics
arrive, and the call returns. No ``undefined`` event comes from the flag undefine_source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.compute_agent.ports import JobCompleted, JobIteration
from migrator.errors import Broken, Transient
from migrator.messages import TransferPlan
from migrator.model import DomainState, JobSample, Reason, Statistics
from tests.fakes.hypervisor_disks import FakeDiskCopy
from tests.fakes.hypervisor_domain import FakeDomain
from tests.fakes.hypervisor_postcopy import FakePostcopy
from tests.fakes.hypervisor_signals import FOREVER_S, FakeTiming, Signal

if TYPE_CHECKING:
    from tests.fakes.hypervisor import FakeHypervisor

MIB = 1024 * 1024
HELD_BYTES_PER_S = 100 * MIB
DOWNTIME_MS = 60


class FakeTransfer:
    """One call of migrate; runs in the caller's worker and waits only on its inbox."""

    def __init__(
        self,
        source: FakeHypervisor,
        destination: FakeHypervisor,
        domain: FakeDomain,
        plan: TransferPlan,
    ) -> None:
        self.source = source
        self.destination = destination
        self.domain = domain
        self.plan = plan
        self.fleet = source.fleet
        self.memory_total = domain.memory_mib * MIB
        self.arriving: FakeDomain | None = None
        self.inactive_there: str | None = None
        """What the destination will define."""
        self.postcopy: FakePostcopy | None = None
        self.speed_mib_s = plan.bandwidth_mib_s
        self.postcopy_speed_mib_s: int | None = None
        self.max_downtime_ms: int | None = None
        self.switched = False
        self.paused = domain.state is DomainState.PAUSED
        """libvirt moves a guest that somebody had paused without ever running it."""
        self.frozen = False
        self.released = not self.fleet.held
        self.iteration = 0
        self.disks = FakeDiskCopy(self)
        self._switch_soon = False
        self._inbox = self.fleet.concurrency.inbox()
        self._began = self.fleet.clock.monotonic()
        self._copy_began = self._began
        self._cut: Signal | None = None

    def signal(self, signal: Signal) -> None:
        """Something happened to it."""
        if self.postcopy is not None:
            self.postcopy.signal(signal)
        else:
            self._inbox.put(signal)

    # -- the course of it

    def run(self) -> None:
        """Until libvirt's call would return. :raises Broken: :raises Transient:"""
        try:
            self._course(self.fleet.timing)
        except _SwitchNow:
            with self.fleet.lock:
                self.postcopy = FakePostcopy(self)
                self.postcopy.begin()
            self.postcopy.wait()
        except _Interrupted as interrupted:
            with self.fleet.lock:
                self._undo(interrupted.signal)
        finally:
            if self.postcopy is None:
                self.domain.transfer = None

    def _course(self, timing: FakeTiming) -> None:
        self._wait(timing.setup_s)
        with self.fleet.lock:
            self._prepare()
            # Measured on libvirt 9.0: over what was set while the destination had not answered yet.
            self.speed_mib_s = self.plan.bandwidth_mib_s
        self._mirror(timing.disk_s)
        self._copy(timing.copy_s)
        with self.fleet.lock:
            self._switch()
        if self.fleet.lose_replies:
            self._wait(timing.reply_lost_s)
            with self.fleet.lock:
                self._give_up_after_lost_reply()
        self._wait(timing.linger_s, until_source_gone=True)
        with self.fleet.lock:
            self.finish()

    def sample(self) -> JobSample:
        """Progress by the clock: linear; while it is held or frozen no less is left to send."""
        now = self.fleet.clock.monotonic()
        total = self.memory_total
        copying_s = now - self._copy_began if self.arriving is not None else 0.0
        share = min(copying_s / max(self.fleet.timing.copy_s, 1e-9), 1.0)
        if not self.released or self.frozen:
            share = min(share, 0.5)
        if self.switched:
            share = 1.0
        if self.postcopy is not None:
            share = 0.5 + (1 - self.postcopy.share_left) / 2
        started = self.arriving is not None and self.disks.done
        # One that is held sends the same pages again and again.
        held = started and not (self.released or self.frozen or self.postcopy)
        again = int(copying_s * HELD_BYTES_PER_S) if held else 0
        written = self.disks.sent_again
        return JobSample(
            operation="migration_out",
            elapsed_ms=int((now - self._began) * 1000),
            memory_total=total if started else 0,
            memory_processed=int(total * share) + again,
            memory_remaining=int(total * (1 - share)) if started else 0,
            memory_bandwidth=int(total / max(self.fleet.timing.copy_s, 1e-9)) if started else 0,
            memory_page_size=4096,
            memory_dirty_pages_per_s=self.fleet.dirty_pages_per_s,
            memory_iteration=self.iteration if started else 0,
            memory_postcopy_requests=0 if self.postcopy is None else 1,
            disk_total=self.disks.total + written,
            disk_processed=self.disks.total + written - self.disks.remaining,
            disk_remaining=self.disks.remaining,
            disks=() if started else self.disks.each(),
        )

    def _mirror(self, seconds: float) -> None:
        """Disks come first; the memory is untouched meanwhile."""
        if self.disks.done:
            return
        self.disks.began = self.fleet.clock.monotonic()
        while self.fleet.disks_held or self.disks.outrun:
            self._handle(self._inbox.get(FOREVER_S))
        self._wait(seconds)
        if not self.disks.fits():
            raise _Interrupted(Signal.NO_SPACE)
        with self.fleet.lock:
            self.disks.finish()

    def _copy(self, seconds: float) -> None:
        self._copy_began = self.fleet.clock.monotonic()
        self._switch_if_it_can()
        while not (self.released and not self.frozen):
            self._handle(self._inbox.get(FOREVER_S))
        self._wait(seconds)
        while self.frozen:
            self._handle(self._inbox.get(FOREVER_S))

    def _wait(self, seconds: float, until_source_gone: bool = False) -> None:
        """Sleep ``seconds``, answering signals; after the switch only the source's end matters."""
        deadline = self.fleet.clock.monotonic() + seconds
        while (left := deadline - self.fleet.clock.monotonic()) > 0:
            signal = self._inbox.get(left)
            if self.switched:
                if signal is Signal.SOURCE_LIBVIRT_DOWN:
                    raise _Interrupted(signal)
                if signal is Signal.SOURCE_GONE and until_source_gone:
                    return
            else:
                self._handle(signal)

    def _switch_if_it_can(self) -> None:
        """Post-copy was asked for, maybe before there was anything at the destination."""
        if not self._switch_soon or self.arriving is None:
            return
        if not self.domain.active:
            raise _Interrupted(Signal.SOURCE_GONE)
        if self.destination.find(self.domain.id) is not self.arriving:
            raise _Interrupted(Signal.PEER_CLOSED)
        raise _SwitchNow

    def _handle(self, signal: object) -> None:
        if signal in (None, Signal.LINK, Signal.PAUSE_POSTCOPY):
            return  # pre-copy goes on; a test that wants it to fail cuts it
        assert isinstance(signal, Signal)
        if signal is Signal.RELEASE:
            self.released = True
        elif signal is Signal.START_POSTCOPY:
            self._switch_soon = True
            self._switch_if_it_can()
        elif signal is Signal.FREEZE:
            self.frozen = True
        elif signal is Signal.THAW:
            self.frozen = False
            if self._cut is not None:
                raise _Interrupted(self._cut)
        elif signal is Signal.ABORT and self.frozen:
            self._cut = signal  # libvirt says yes, but its call stays blocked
        else:
            if signal is Signal.CUT:
                self.fleet.clock.sleep(self.fleet.timing.reply_lost_s)
            elif signal is Signal.DESTINATION_GONE:
                self.fleet.clock.sleep(self.fleet.timing.qemu_death_s)
            raise _Interrupted(signal)

    def _prepare(self) -> None:
        if why := self.destination.why_not_receive(self.domain, self.plan):
            raise Broken("transfer.failed", why)
        if "persist_dest" in self.plan.flags:
            self.inactive_there = (
                self.plan.persistent_xml or self.domain.inactive_xml or self.domain.live_xml
            )
        self.arriving = FakeDomain(
            id=self.domain.id,
            name=self.domain.name,
            state=DomainState.PAUSED,
            reason=Reason.MIGRATION,
            live_xml=self.plan.destination_xml or self.domain.live_xml,
            inactive_xml=None,
            transfer=self,
        )
        self.destination.appear(self.arriving)
        self.destination.emit(self.arriving, "started", "migrated")
        self.iterate()

    def _switch(self) -> None:
        source, arriving = self.domain, self.arriving
        assert arriving is not None
        if not self.paused:
            source.state, source.reason = DomainState.PAUSED, Reason.MIGRATION
            self.source.emit(source, "suspended", "migrated")
        if self.inactive_there is not None:
            arriving.inactive_xml = self.inactive_there
            self.destination.emit(arriving, "defined", "added")
        arriving.transfer = None
        arriving.completed = self._statistics()
        self.switched = True
        if self.paused:
            arriving.state, arriving.reason = DomainState.PAUSED, Reason.USER
            self.destination.emit(arriving, "suspended", "paused")
        else:
            arriving.state, arriving.reason = DomainState.RUNNING, Reason.MIGRATED
            self.destination.emit(arriving, "resumed", "migrated")

    def _give_up_after_lost_reply(self) -> None:
        """libvirt's source believes the destination dead and resumes its guest, if it still can.

        It says ``resumed``/``migrated`` then, like a destination after a switch.
        """
        self.domain.transfer = None
        here = self.source.find(self.domain.id) is self.domain
        # A guest that was paused before it moved stays so.
        if here and self.domain.active and not self.paused:
            self._let_run()
        raise Broken("transfer.failed", f"internal error: {Signal.CUT.value}")

    def arrive_from_postcopy(self) -> None:
        """Every page is at the destination."""
        arriving = self.arriving
        assert arriving is not None
        arriving.transfer = None
        self.switched = True
        if arriving.active and arriving.reason in (Reason.POSTCOPY, Reason.POSTCOPY_FAILED):
            arriving.state, arriving.reason = DomainState.RUNNING, Reason.MIGRATED
            self.destination.emit(arriving, "resumed", "migrated")

    def iterate(self) -> None:
        """Another pass over the memory begins."""
        self.iteration += 1
        self.source.notify(JobIteration(self.domain.id, self.iteration))

    def finish(self) -> None:
        """The call returns well: the source's domain goes."""
        domain = self.domain
        domain.transfer = None
        domain.completed = self._statistics()
        here = self.source.find(domain.id) is domain
        if "undefine_source" in self.plan.flags:
            domain.inactive_xml = None
        if here and domain.active:
            domain.live_xml = None
            domain.state, domain.reason = DomainState.SHUTOFF, Reason.MIGRATED
            self.source.emit(domain, "stopped", "migrated")
        self.source.notify(JobCompleted(domain.id, self._statistics()))
        self.source.forget_if_nothing_left(domain)

    def _undo(self, signal: Signal) -> None:
        """The call fails: the source keeps the guest if it still has it."""
        self.domain.transfer = None
        if self.switched:
            raise Transient("libvirt.unreachable", signal.value)
        if self.arriving is not None and self.destination.find(self.domain.id) is self.arriving:
            self.arriving.transfer = None
            self.destination.end(self.arriving, "failed")
        stopped = self.domain.active and self.domain.reason is Reason.MIGRATION
        if self.source.find(self.domain.id) is self.domain and stopped and not self.paused:
            # Also what somebody paused while it was copied: libvirt takes that for its own pause.
            self._let_run()
        if signal is Signal.SOURCE_LIBVIRT_DOWN:
            raise Transient("libvirt.unreachable", signal.value)
        raise Broken("transfer.failed", signal.value)

    def _let_run(self) -> None:
        self.domain.state = DomainState.RUNNING
        self.domain.reason = Reason.MIGRATION_CANCELED
        self.source.emit(self.domain, "resumed", "migrated")

    def _statistics(self) -> Statistics:
        return Statistics(
            downtime_ms=DOWNTIME_MS,
            downtime_net_ms=DOWNTIME_MS - 2,
            total_ms=int((self.fleet.clock.monotonic() - self._began) * 1000),
            setup_ms=2,
            memory_total=self.memory_total,
            memory_processed=self.memory_total,
            disk_total=self.disks.total,
            iterations=3,
        )


class _SwitchNow(Exception):
    """The guest is to run at the destination before its memory is there."""


class _Interrupted(Exception):
    def __init__(self, signal: Signal) -> None:
        super().__init__(signal.value)
        self.signal = signal

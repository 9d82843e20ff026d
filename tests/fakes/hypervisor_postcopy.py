"""Post-copy between two fake hosts, from the moment the guest runs at its destination.

As measured: the source says ``suspended``/``migrated`` and ``suspended``/``postcopy``, the destination
``resumed``/``postcopy``, and ``resumed``/``migrated`` when every page is there. A cut link is noticed by
nobody. A post-copy paused on purpose is postcopy_failed at the source at once, and at the destination
once the link is back; only then does the first call return, and only then can it be resumed. The
source's job stays visible all the while. A destination whose libvirtd dies makes the source say
postcopy_failed although pages flow: it ends well by itself.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from migrator.errors import Broken, MigratorError, Transient
from migrator.model import DomainState, Reason
from tests.fakes.hypervisor_signals import FOREVER_S, Signal

if TYPE_CHECKING:
    from tests.fakes.hypervisor_transfer import FakeTransfer

FAILED = "operation failed: job 'migration in' failed in post-copy phase"


class Pages(enum.Enum):
    """What becomes of the pages that are still at the source."""

    FLOW = "flow"
    BROKEN = "broken"
    """Paused at the source; the destination does not know of it yet."""
    PAUSED = "paused"
    """Both sides know: it can be resumed."""
    ARRIVED = "arrived"
    LOST = "lost"
    """The destination is dead. The source's job stays until its half is destroyed."""


class FakePostcopy:
    """Runs in a worker of its own, because it outlives the calls that wait for it."""

    def __init__(self, transfer: FakeTransfer) -> None:
        self.transfer = transfer
        self.fleet = transfer.fleet
        self.pages = Pages.FLOW
        self.called = True
        """Somebody waits in libvirt's call."""
        self.dead_there = False
        """The destination knows that the connection is dead; the source does not."""
        self._left_s = self.fleet.timing.copy_s
        self._whole_s = max(self._left_s, 1e-9)
        self._inbox = self.fleet.concurrency.inbox()
        self._returns = self.fleet.concurrency.inbox()
        self._over = False

    # -- libvirt's calls

    def begin(self) -> None:
        """The guest runs at the destination. The fleet's lock is held."""
        source, arriving = self.transfer.domain, self.transfer.arriving
        assert arriving is not None
        source.state, source.reason = DomainState.PAUSED, Reason.MIGRATION
        self.transfer.source.emit(source, "suspended", "migrated")
        self._say(Reason.POSTCOPY, "postcopy")
        if self.transfer.inactive_there is not None:
            arriving.inactive_xml = self.transfer.inactive_there
            self.transfer.destination.emit(arriving, "defined", "added")
        self._say_there(Reason.POSTCOPY, "postcopy")
        self.fleet.concurrency.spawn("fake-postcopy", self._run)

    def wait(self) -> None:
        """In libvirt's call until it returns. :raises MigratorError: how it failed."""
        outcome = self._returns.get(FOREVER_S)
        if isinstance(outcome, MigratorError):
            raise outcome

    def resume(self) -> None:
        """What POSTCOPY_RESUME does, up to its waiting. The fleet's lock is held."""
        if self.called:
            raise Transient("guest.busy", "migration is being actively monitored by another thread")
        if self.pages is not Pages.PAUSED:
            raise Broken("transfer.failed", "QEMU reports migration is still running")
        if self.fleet.stalled:
            raise Broken("transfer.failed", "unable to connect to the destination's QEMU")
        self.called = True
        self.dead_there = False
        self.pages = Pages.FLOW
        self._say(Reason.POSTCOPY, "postcopy")
        self._say_there(Reason.POSTCOPY, "postcopy")
        self._inbox.put(Signal.RELEASE)

    def signal(self, signal: Signal) -> None:
        self._inbox.put(signal)

    @property
    def share_left(self) -> float:
        """Of the pages: how many are still at the source."""
        return self._left_s / self._whole_s

    # -- the course of it

    def _run(self) -> None:
        while not self._over:
            flows = self._flows
            began = self.fleet.clock.monotonic()
            signal = self._inbox.get(self._left_s if flows else FOREVER_S)
            if flows:
                self._left_s = max(self._left_s - (self.fleet.clock.monotonic() - began), 0.0)
            with self.fleet.lock:
                if signal is None and flows:
                    self._left_s = 0.0
                    break
                if isinstance(signal, Signal):
                    self._take(signal)
        if not self._over:
            self._end_well()

    @property
    def _flows(self) -> bool:
        """Under a speed limit they come too slowly to count."""
        limited = bool(self.transfer.postcopy_speed_mib_s)
        still = self.fleet.stalled or limited or self.dead_there
        return self.pages is Pages.FLOW and not still

    def _take(self, signal: Signal) -> None:
        match signal:
            case Signal.PAUSE_POSTCOPY if self.pages is Pages.FLOW:
                self.pages = Pages.BROKEN
                self._say(Reason.POSTCOPY_FAILED, "postcopy_failed")
            case Signal.PEER_NOTICED:
                self.dead_there = True
                self._say_there(Reason.POSTCOPY_FAILED, "postcopy_failed")
            case Signal.PEER_CLOSED:
                self._say(Reason.POSTCOPY_FAILED, "postcopy_failed")
                self._return(Broken("transfer.failed", "internal error: client socket is closed"))
            case Signal.SOURCE_GONE:
                self._over = True
                self._let_go()
                if not self.fleet.source_vanishes:
                    self._say_there(Reason.POSTCOPY_FAILED, "postcopy_failed")
                self._return(Broken("transfer.failed", signal.value))
            case Signal.DESTINATION_GONE:
                self.pages = Pages.LOST
                self._say(Reason.POSTCOPY_FAILED, "postcopy_failed")
                self._return(Broken("transfer.failed", signal.value))
            case Signal.SOURCE_LIBVIRT_DOWN:
                self._return(Transient("libvirt.unreachable", signal.value))
        if self.pages is Pages.BROKEN and not self.fleet.stalled:
            self.pages = Pages.PAUSED
            self._say_there(Reason.POSTCOPY_FAILED, "postcopy_failed")
            self._return(Broken("transfer.failed", FAILED))

    def _end_well(self) -> None:
        with self.fleet.lock:
            self.pages = Pages.ARRIVED
            self.transfer.arrive_from_postcopy()
        self.fleet.clock.sleep(self.fleet.timing.linger_s)
        with self.fleet.lock:
            self.transfer.finish()
        self._return(None)

    def _let_go(self) -> None:
        """No job runs on either side any more."""
        self.transfer.domain.transfer = None
        if self.transfer.arriving is not None:
            self.transfer.arriving.transfer = None

    def _return(self, outcome: MigratorError | None) -> None:
        if self.called:
            self.called = False
            self._returns.put(outcome or "well")

    def _say(self, reason: Reason, detail: str) -> None:
        source = self.transfer.domain
        if source.active:
            source.state, source.reason = DomainState.PAUSED, reason
            self.transfer.source.emit(source, "suspended", detail)

    def _say_there(self, reason: Reason, detail: str) -> None:
        arriving = self.transfer.arriving
        assert arriving is not None
        if arriving.active:
            arriving.state, arriving.reason = DomainState.RUNNING, reason
            self.transfer.destination.emit(arriving, "resumed", detail)

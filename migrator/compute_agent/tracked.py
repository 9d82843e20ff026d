"""One transfer as this agent process knows it."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.compute_agent.latch import Latch
from migrator.compute_agent.monitor.actions import (
    Abort,
    Action,
    Restart,
    SetDowntime,
    StartPostcopy,
    Suspend,
    Wait,
)
from migrator.compute_agent.monitor.asks import Ask, Asks, ForceAsked, Tune
from migrator.compute_agent.monitor.watchdog import LIBVIRTS_DOWNTIME_MS
from migrator.errors import MigratorError
from migrator.messages import TransferView
from migrator.model import StandingAsks, Statistics, TransferPolicy
from migrator.ports import Concurrency, Inbox

ITERATION = "iteration"
"""In a monitor's mailbox: libvirt says that a pass over the memory begins."""


RESUMING_HANGS_S = 150.0
"""libvirt connects to the destination's QEMU itself, and TCP gives an address up after up to 127 s."""


@dataclass
class Resumption:
    """One try to let a broken post-copy go on. Times in seconds of the monotonic clock."""

    begun_at: float
    over: bool = False
    error: MigratorError | None = None
    told: bool = False
    """Whoever asked knows how it failed."""

    def unsettled(self, at: float) -> bool:
        """Under way, or failed and nobody knows yet. One whose call hangs is left to its thread."""
        if self.over:
            return self.error is not None and not self.told
        return at - self.begun_at < RESUMING_HANGS_S


class Tracked:
    """An attempt leaving this host. Several workers use it: who started it, its monitor, ops."""

    def __init__(
        self, instance_id: str, key: tuple[str, int], concurrency: Concurrency, adopted: bool
    ) -> None:
        """:param key: (migration id, attempt)."""
        self.instance_id = instance_id
        self.migration_id, self.attempt = key
        self.adopted = adopted
        """Nobody in this process is inside libvirt's call: only looking tells how it ends."""
        self.policy: TransferPolicy | None = None
        """What its monitor decides by; None while nobody has said."""
        self.inbox: Inbox[object] = concurrency.inbox()
        """Wakes the monitor."""
        self.taken = Latch(concurrency)
        """libvirt has the job, or has had it, or the call ended without one."""
        self.ended = Latch(concurrency)
        self.measured = Latch(concurrency)
        """The statistics are here."""
        self.error: MigratorError | None = None
        """Why it failed, once it has ended; None then means success."""
        self.statistics: Statistics | None = None
        self.paused_by_user = False
        self._asks = Asks()
        # What the monitor has done, and libvirt agreed to
        self.suspended = False
        """migrator pauses the guest, which is to run again whatever comes; set before it is done, so
        that the event is not taken for a user's."""
        self.was_paused = False
        """The guest was seen to be, by whomever, since it began."""
        self.held = False
        """libvirt let the guest run again from the switch; it is paused until the destination was
        looked at."""
        self.switching = False
        """Post-copy was begun: the source's next pause is that."""
        self.aborting = False
        self.why_aborted = ""
        """The rule by which the monitor gave it up."""
        self.restart_with: tuple[str, ...] = ()
        """It was ended so that it can be started again with these flags."""
        self.resumption: Resumption | None = None
        self.stalled = False
        """Its post-copy carries no page."""
        self.forced_by = ""
        """The rule by which a force-complete was carried out."""
        self.decisions = 0
        """How often its monitor has decided."""
        self.waits_for = ""
        """The rule by which it does nothing now."""
        self._downtime_ms = LIBVIRTS_DOWNTIME_MS

    def __str__(self) -> str:
        return f"migration {self.migration_id} attempt {self.attempt}"

    @property
    def asks(self) -> Asks:
        return self._asks

    @property
    def succeeded(self) -> bool:
        """libvirt said that the guest has moved."""
        return self.ended.is_set and self.error is None

    def ask(self, ask: Ask) -> None:
        """Tell the monitor what is wanted; it acts at once."""
        self._asks = self._asks.plus(ask)
        self.inbox.put(ask)

    def guest_was(self, event: str, detail: str) -> None:
        """Follow what a user does to the guest while it moves."""
        self.was_paused = self.was_paused or event == "suspended"
        if self.ended.is_set or self.suspended or self.held:
            return
        if (event, detail) == ("suspended", "paused"):
            self.paused_by_user = True
        elif (event, detail) == ("resumed", "unpaused"):
            self.paused_by_user = False

    def steer(self, asks: StandingAsks, policy: TransferPolicy | None) -> None:
        """Take what the record says was asked; saying it again changes nothing."""
        if policy is not None:
            self.policy = policy
        self.suspended = self.suspended or asks.suspended
        tune = Tune(asks.bandwidth_mib_s, asks.postcopy_bandwidth_mib_s, asks.max_downtime_ms)
        if tune != Tune():
            self._asks = self._asks.plus(tune)
        if asks.force is not None and self._asks.force is not asks.force:
            self._asks = self._asks.plus(ForceAsked(asks.force))
            self.forced_by = ""
        self.inbox.put("steered")

    def done(self, action: Action, taken: bool) -> None:
        """The monitor has acted."""
        if not taken:
            return
        match action:
            case SetDowntime():
                self._downtime_ms = action.ms
            case StartPostcopy():
                self.switching = True
            case Abort():
                self.aborting, self.why_aborted = True, action.rule
            case Restart():
                self.aborting, self.restart_with = True, action.flags
        if self._asks.force is not None and _is_a_way_to_the_end(action):
            self.forced_by = action.rule

    def decided(self, action: Action) -> None:
        """The monitor has looked at all that was asked, and acted."""
        self.waits_for = action.rule if isinstance(action, Wait) else ""
        self.decisions += 1

    @property
    def downtime_limit_ms(self) -> int:
        """The most that libvirt may have been told."""
        tolerated = self.policy.profile.max_downtime_ms if self.policy is not None else 0
        return max(self._downtime_ms, tolerated)

    def measure(self, statistics: Statistics) -> None:
        """libvirt's final statistics have come; what comes later is of another job."""
        if self.measured.is_set:
            return
        self.statistics = statistics
        self.measured.set()

    def end(self, error: MigratorError | None) -> None:
        """libvirt's call has returned, or its job is gone."""
        self.error = error
        self.ended.set()
        self.taken.set()
        self.inbox.put("ended")

    def view(self) -> TransferView:
        """As it travels."""
        ended = self.ended.is_set
        return TransferView(
            migration_id=self.migration_id,
            attempt=self.attempt,
            ended=ended,
            ok=self.succeeded if ended else None,
            error=str(self.error) if ended and self.error is not None else None,
            abort_requested=self.aborting,
            paused_by_user=self.paused_by_user,
            restart_with=list(self.restart_with),
            stalled=self.stalled,
        )


def _is_a_way_to_the_end(action: Action) -> bool:
    if isinstance(action, SetDowntime):
        return action.beyond
    return isinstance(action, StartPostcopy | Suspend | Restart)

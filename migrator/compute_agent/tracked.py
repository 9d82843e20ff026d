"""One transfer as this agent process knows it."""

from __future__ import annotations

from migrator.compute_agent.latch import Latch
from migrator.compute_agent.monitor.asks import Ask, Asks
from migrator.errors import MigratorError
from migrator.messages import TransferView
from migrator.model import Statistics, TransferPolicy
from migrator.ports import Concurrency, Inbox


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
        self.pauses_it = False
        """The monitor pauses the guest itself; set before it does, so that the event is not taken for a
        user's."""
        self.paused_by_user = False
        self._asks = Asks()

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
        if self.ended.is_set or self.pauses_it:
            return
        if (event, detail) == ("suspended", "paused"):
            self.paused_by_user = True
        elif (event, detail) == ("resumed", "unpaused"):
            self.paused_by_user = False

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
            paused_by_user=self.paused_by_user,
            abort_requested=self._asks.abort,
        )

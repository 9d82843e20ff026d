"""One look at a transfer with all that is known of it, and what can be read off that. Pure.

Units: bytes, bytes/s, seconds; ``_ms`` and ``_mib`` as they say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from migrator.compute_agent.monitor.actions import Facts
from migrator.compute_agent.monitor.asks import Asks
from migrator.compute_agent.monitor.known import Known, Reading
from migrator.compute_agent.monitor.phases import Stage, stage_of
from migrator.compute_agent.monitor.predict import (
    Copying,
    Guest,
    Outlook,
    Pass,
    average,
    early_look,
    explained,
    fit,
    outlook,
    slowest,
)
from migrator.model import JobSample, TransferPolicy

MIB = 1 << 20
OVERHEAD_MS = 50
"""Of a switch, beside sending what is left: stopping, devices, starting; at most a quarter of the
budget is kept for it."""
DEAD_SHARE = 0.01
"""A link at less than this share of what it could do does not carry a switch."""
ROOM = 0.99
"""Share of the budget that is aimed at."""
TOLD_S = 0.01
"""From the beginning of an iteration until QEMU has been told what follows from it."""
SURE = 0.98
"""Share of that which an early look is aimed at: it rests on a prediction."""
CLEAR = 1.2
"""Times the target; more than that cannot be all that a guest writes to if it is to reach it."""
NEAR = 1.2
"""Times the target; with no more left, what the newest iteration alone shows is believed."""
LATE = 1.25
"""Times what it was expected to take."""
LAPSES = 3
LATELY = 0.15
"""Share of the time so far."""
CHANGED_SHARE = 0.3
"""A bandwidth that differs by more from the one an iteration began with is judged at once."""


@dataclass(frozen=True)
class Case:
    """What ``decide`` looks up in its rules."""

    policy: TransferPolicy | None
    reading: Reading
    known: Known
    asks: Asks
    job: JobSample

    @property
    def at(self) -> float:
        return self.reading.at

    @cached_property
    def stage(self) -> Stage:
        suspended = self.known.step_at("suspend") is not None
        switching = self.reading.paused and not suspended
        return stage_of(self.job, switching, self.reading.postcopy)

    @property
    def budget_ms(self) -> int:
        """Longest freeze that is tolerated."""
        if self.asks.tune.max_downtime_ms is not None:
            return self.asks.tune.max_downtime_ms
        assert self.policy is not None
        return self.policy.profile.max_downtime_ms

    @property
    def most_ms(self) -> int:
        """What libvirt may be told: it does not count the switch's own time."""
        return max(1, self.budget_ms - min(OVERHEAD_MS, self.budget_ms // 4))

    @property
    def low_ms(self) -> int:
        """With this little allowed, every iteration sends nearly all of what was dirty."""
        return max(1, self.most_ms // 16)

    @cached_property
    def target(self) -> float:
        """Bytes that the present bandwidth sends within the budget, with room for what is dirtied until
        QEMU has been told."""
        meanwhile = 0.0 if self.guest is None else self.guest.rate * TOLD_S
        return self.known.bandwidth * self.most_ms * ROOM / 1000 - meanwhile

    @property
    def flows(self) -> bool:
        """The link carries enough to end anything by force."""
        return self.known.bandwidth > self.known.best_bandwidth * DEAD_SHARE

    @property
    def at_boundary(self) -> bool:
        """An iteration has just begun, or the link is no longer what it was when it did."""
        known = self.known
        if known.iteration_at == self.at:
            return True
        before = known.bandwidth_at_boundary
        return before > 0 and abs(known.bandwidth / before - 1) > CHANGED_SHARE

    @cached_property
    def passes(self) -> Sequence[Pass]:
        """What is known of how the guest writes: from this transfer and, while that has shown little,
        from before it."""
        passes, policy = self.known.passes, self.policy
        if policy is None or policy.dirty is None or len(passes) != 1 or self.known.throttle:
            return passes
        return (Pass(policy.dirty.seconds, policy.dirty.dirtied), *passes)

    @cached_property
    def guest(self) -> Guest | None:
        """How it writes; None while too little is known."""
        return fit(self.passes, self.job.memory_total)

    @cached_property
    def outlook(self) -> Outlook | None:
        """Where pre-copy leads from the beginning of this iteration; None while too little is known."""
        return self._outlook(self.guest, self.known.left)

    @property
    def early_look(self) -> float:
        """Bytes that may stay unsent in this iteration if it is to be the last; 0 when it is not."""
        known = self.known
        guest = self.guest
        if len(self.passes) == 1 and known.left > CLEAR * self.target:
            # Looking too early costs less than sending what need not be sent; only where all that the
            # guest writes to may be little enough does it take a whole iteration to find out.
            guest = slowest(known.passes[0], self.job.memory_total)
        if guest is None or known.bandwidth <= 0:
            return 0.0
        guests = [guest]
        last = known.passes[-1] if len(known.passes) > 1 else None
        near = known.left <= NEAR * self.target
        if last is not None and near and 0 < last.dirtied < guest.working_set and last.seconds > 0:
            # It may be calm now: that a look finds out at once, and hardly costs a thing.
            guests.append(explained([last], guest.working_set))
        target = self.target * SURE
        return max(early_look(each, known.left, known.bandwidth, target) for each in guests)

    def _outlook(self, guest: Guest | None, left: float) -> Outlook | None:
        bandwidth = self.known.bandwidth
        if guest is None or bandwidth <= 0:
            return None
        copying = Copying(bandwidth, self.known.unsent(bandwidth))
        return outlook(guest, left, copying, self.target)

    @cached_property
    def _promises(self) -> Sequence[tuple[float, Outlook]]:
        """(seconds ago, outlook) at the beginnings of earlier iterations, the oldest first."""
        passes, memory = self.known.passes, self.job.memory_total
        looks = [
            (
                self.at - self.known.iteration_at + sum(each.seconds for each in passes[count:]),
                self._outlook(fit(passes[:count], memory), passes[count - 1].dirtied),
            )
            for count in range(2, len(passes))
        ]
        return [(ago, each) for ago, each in looks if each is not None]

    @property
    def was_hopeful(self) -> bool:
        """At the beginning of many earlier iterations pre-copy would have led to the goal."""
        hopes = sum(each.reaches for _, each in self._promises)
        return hopes * 3 >= max(1, len(self._promises))

    @property
    def reaches_on_average(self) -> bool:
        """Pre-copy would lead to the goal if the guest wrote all the time as it has on average."""
        ahead = self._outlook(average(self.passes, self.job.memory_total), self.known.left)
        return ahead is not None and ahead.reaches

    @property
    def disappointed(self) -> bool:
        """The goal should have been reached by now, as seen more than once: a guest at the very edge."""
        lapsed = sum(each.reaches and ago > LATE * each.seconds for ago, each in self._promises)
        return lapsed >= LAPSES

    @property
    def shrinks(self) -> bool:
        """Lately, by the time the transfer has taken, less was left than ever before."""
        known = self.known
        took = self.at - (self.at if known.memory_at is None else known.memory_at)
        return self.at - known.least_at <= LATELY * took

    @property
    def elapsed_s(self) -> float:
        """Towards the deadline."""
        began = self.at if self.known.began_at is None else self.known.began_at
        return self.at - began + (self.policy.spent_s if self.policy else 0.0)

    @property
    def left_s(self) -> float | None:
        """Until the deadline, negative after it; None without one."""
        if self.policy is None:
            return None
        size = self.job.memory_total + self.job.disk_total
        deadline = self.policy.profile.deadline_for(size)
        return None if deadline is None else deadline - self.elapsed_s

    def freeze_ms(self, left: float) -> float:
        """How long sending ``left`` takes now."""
        return 1000 * left / self.known.bandwidth if self.known.bandwidth > 0 else float("inf")

    @property
    def facts(self) -> Facts:
        """The numbers decisions are made on."""
        known = self.known
        numbers = {
            "iteration": float(known.iteration),
            "remaining_mib": round(known.left / MIB, 1),
            "bandwidth_mib_s": round(known.bandwidth / MIB, 1),
        }
        if known.left_before > 0 and known.passes:
            numbers["ratio"] = round(known.left / known.left_before, 3)
        if known.bandwidth > 0:
            numbers["expected_downtime_ms"] = round(self.freeze_ms(known.left))
        if self.policy is not None:
            numbers["budget_ms"] = float(self.budget_ms)
            if self.policy.link_mib_s is not None:
                numbers["link_mib_s"] = round(self.policy.link_mib_s, 1)
        ahead = self.outlook if self.policy is not None else None
        if ahead is not None:
            numbers["outlook_mib"] = round(ahead.floor / MIB, 1)
            numbers["outlook_s"] = round(ahead.seconds, 1)
        left_s = self.left_s
        if left_s is not None:
            numbers["deadline_in_s"] = round(left_s, 1)
        return numbers

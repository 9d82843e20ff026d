"""Whoever decides: migrator's own rules and, written anew from their descriptions, those of others.

Each is asked after every look and answers by what it does to the transfer.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

from benchmarks.convergence.scenarios import GB, Scenario
from benchmarks.convergence.transfer import PAGE, Sample, Transfer
from migrator.compute_agent.monitor.actions import (
    Abort,
    Action,
    SetDowntime,
    StartPostcopy,
    Suspend,
    Wait,
)
from migrator.compute_agent.monitor.asks import Asks
from migrator.compute_agent.monitor.decide import Known, Reading, decide, learn, observe
from migrator.model import GUARANTEED, STRICT, JobSample, Profile, TransferPolicy


class Policy(Protocol):
    """What decides about one transfer."""

    poll_s: float

    def look(self, sample: Sample, transfer: Transfer) -> None: ...


Maker = Callable[[Scenario], Policy]


class Ours:
    """The real rules."""

    poll_s = 0.5

    def __init__(self, scenario: Scenario, profile: Profile, measured: bool = True) -> None:
        self._scenario = scenario
        own = dataclasses.replace(profile, max_downtime_ms=scenario.budget_ms)
        self._policy = TransferPolicy(
            own, postcopy=own.allow_postcopy, dirty=scenario.measured() if measured else None
        )
        self._known = Known()

    def look(self, sample: Sample, transfer: Transfer) -> None:
        job = JobSample(
            "migration_out",
            memory_total=int(self._scenario.memory),
            memory_processed=int(sample.sent),
            memory_remaining=int(sample.remaining),
            memory_page_size=PAGE,
            memory_iteration=sample.iteration,
        )
        reading = Reading(sample.at + 1.0, job, sample.boundary)
        self._known = observe(self._known, reading)
        while transfer.ending is None:
            action = decide(self._policy, reading, self._known, Asks())
            if isinstance(action, Wait):
                return
            _do(action, transfer)
            self._known = learn(self._known, action, reading.at, taken=True)


def _do(action: Action, transfer: Transfer) -> None:
    match action:
        case SetDowntime():
            transfer.downtime_ms = action.ms
        case StartPostcopy():
            transfer.postcopy()
        case Suspend():
            transfer.pause()
        case Abort():
            transfer.abort()


def strict(scenario: Scenario) -> Policy:
    return Ours(scenario, STRICT)


def guaranteed(scenario: Scenario) -> Policy:
    return Ours(scenario, GUARANTEED)


def unmeasured(scenario: Scenario) -> Policy:
    return Ours(scenario, GUARANTEED, measured=False)


class Nova:
    """Downtime in ten steps, 75 s for each GB apart; at 800 s for each GB the end."""

    poll_s = 2.0

    def __init__(self, scenario: Scenario, postcopy: bool) -> None:
        size = max(2, int(scenario.memory / GB))
        delay = 75 * size
        base = scenario.budget_ms / 10
        offset = (scenario.budget_ms - base) / 10
        self._steps = [(delay * number, base + offset * number) for number in range(11)]
        self._end_s = 800 * size
        self._postcopy = postcopy

    def look(self, sample: Sample, transfer: Transfer) -> None:
        while self._steps and sample.at >= self._steps[0][0]:
            transfer.downtime_ms = self._steps.pop(0)[1]
        if sample.at > self._end_s:
            transfer.postcopy() if self._postcopy else transfer.abort()


class Ovirt:
    """Every iteration another 50 to 100 ms, looked at every 10 s; then the policy's last word."""

    poll_s = 10.0

    def __init__(self, scenario: Scenario, last: str) -> None:
        top = scenario.budget_ms
        self._schedule = [(n, top * share) for n, share in enumerate((0.3, 0.4, 0.6, 0.8, 1.0), 1)]
        self._last = last
        self._ended = 0

    def look(self, sample: Sample, transfer: Transfer) -> None:
        if sample.boundary:
            return
        if sample.at == 0.0:
            transfer.downtime_ms = self._schedule[0][1] * 2 / 3
        ended = sample.iteration - 1
        if ended <= self._ended:
            return
        self._ended = ended
        if self._schedule:
            if ended > self._schedule[0][0]:
                transfer.downtime_ms = self._schedule.pop(0)[1]
        elif self._last == "postcopy":
            transfer.postcopy()
        elif self._last == "suspend" and transfer.downtime_ms < 5000:
            transfer.downtime_ms = 5000
        else:
            transfer.abort()


class KubevirtStall:
    """Stalled when a 40 s old minimum is not bettered by 4 %; then the next local minimum."""

    poll_s = 0.5
    window_s = 40.0
    margin = 0.04
    newest = 0.4
    switchover_s = 60.0
    """A downtime that was raised for the switch has shown by then, or it is ended otherwise."""

    def __init__(self, scenario: Scenario, postcopy: bool) -> None:
        self._budget_ms = scenario.budget_ms
        self._postcopy = postcopy
        self._seen: list[tuple[float, float]] = []
        self._bandwidth = 0.0
        self._last: Sample | None = None
        self._best: list[float] = []
        self._patience_s = self.window_s
        self._relax_at = 0.0
        self._switching_since: float | None = None

    def look(self, sample: Sample, transfer: Transfer) -> None:
        if sample.at == 0.0:
            transfer.downtime_ms = min(300.0, self._budget_ms)
        if self._switching_since is not None:
            if sample.at - self._switching_since >= self.switchover_s:
                transfer.postcopy() if self._postcopy else transfer.abort()
            return
        if not sample.boundary:
            return
        self._measure(sample)
        self._seen.append((sample.at, sample.remaining))
        old = [left for at, left in self._seen if at <= sample.at - self.window_s]
        if not self._best:
            if not old or sample.remaining < (1 - self.margin) * min(old):
                return
            self._best = sorted(left for at, left in self._seen)
            self._relax_at = sample.at + self._patience_s
        if sample.at >= self._relax_at and len(self._best) > 1:
            self._best.pop(0)
            self._patience_s /= 2
            self._relax_at = sample.at + self._patience_s
        if sample.remaining > self._best[0] * (1 + self.margin):
            return
        self._act(sample, transfer)

    def _act(self, sample: Sample, transfer: Transfer) -> None:
        expected_ms = 1000 * sample.remaining / self._bandwidth
        if expected_ms <= self._budget_ms:
            # Its documents allow half as much again; nobody is given more than the budget here.
            transfer.downtime_ms = self._budget_ms
            self._switching_since = sample.at
        elif self._postcopy:
            transfer.postcopy()
        else:
            transfer.abort()

    def _measure(self, sample: Sample) -> None:
        last, self._last = self._last, sample
        if last is None or sample.at <= last.at:
            self._bandwidth = self._bandwidth or sample.sent / max(sample.at, 1e-9)
            return
        now = (sample.sent - last.sent) / (sample.at - last.at)
        self._bandwidth += self.newest * (now - self._bandwidth)


POLICIES: dict[str, Maker] = {
    "migrator strict": strict,
    "migrator guaranteed": guaranteed,
    "migrator, unmeasured guest": unmeasured,
    "Nova, abort": lambda scenario: Nova(scenario, False),
    "Nova, post-copy": lambda scenario: Nova(scenario, True),
    "oVirt minimal downtime": lambda scenario: Ovirt(scenario, "abort"),
    "oVirt suspend workload": lambda scenario: Ovirt(scenario, "suspend"),
    "oVirt post-copy": lambda scenario: Ovirt(scenario, "postcopy"),
    "KubeVirt stall detector": lambda scenario: KubevirtStall(scenario, False),
    "KubeVirt stall, post-copy": lambda scenario: KubevirtStall(scenario, True),
}

"""QEMU's pre-copy and post-copy as a fluid.

An iteration sends what is dirty until no more is left than the link carries within the allowed
downtime; then QEMU looks what has been dirtied since, and either switches or begins another iteration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from benchmarks.convergence.scenarios import Scenario

SWITCH_S = 0.03
"""Of every switch, beside what is sent."""
PAGE = 4096
"""Bytes; less than one is nothing."""
NOTICE_S = 0.01
"""From an iteration's beginning until its event has been read."""
FIRST_DOWNTIME_MS = 300
"""QEMU's own."""
MOST_S = 100_000.0


@dataclass(frozen=True)
class Sample:
    """What libvirt shows."""

    at: float
    iteration: int
    remaining: float
    sent: float
    boundary: bool


@dataclass(frozen=True)
class Ending:
    """How it ended. seconds and bytes."""

    how: str
    """``precopy``, ``postcopy``, ``pause``, ``abort`` or ``never``."""
    at: float
    decided_at: float
    sent: float
    downtime_s: float


class Transfer:
    """One run; :meth:`until` moves its time on."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.at = 0.0
        self.iteration = 1
        self.pending = scenario.memory
        self.sent = 0.0
        self.downtime_ms = float(FIRST_DOWNTIME_MS)
        self.ending: Ending | None = None
        self._synced_at = 0.0

    def until(self, at: float) -> bool:
        """Copy on until ``at`` or the next iteration's beginning; True for the latter."""
        link = self._scenario.link
        enough = link * self.downtime_ms / 1000
        needed = max(0.0, self.pending - enough) / link
        if self.at + needed > at:
            self._copy(at - self.at)
            return False
        self._copy(needed)
        self._sync()
        if self.pending <= enough + PAGE:
            self.switch()
        return True

    def switch(self) -> None:
        """With what is left now."""
        downtime = self.pending / self._scenario.link + SWITCH_S
        self._end("precopy", self.at, downtime, self.pending, downtime)

    def sample(self, boundary: bool) -> Sample:
        return Sample(self.at, self.iteration, self.pending, self.sent, boundary)

    def abort(self) -> None:
        self._end("abort", self.at, 0.0, 0.0, 0.0)

    def postcopy(self) -> None:
        self._sync()
        took = self.pending / self._scenario.link + SWITCH_S
        self._end("postcopy", self.at, SWITCH_S, self.pending, took)

    def pause(self) -> None:
        """Freeze the guest and send the rest."""
        self._sync()
        downtime = self.pending / self._scenario.link + SWITCH_S
        self._end("pause", self.at, downtime, self.pending, downtime)

    def give_up(self) -> None:
        self._end("never", self.at, 0.0, 0.0, 0.0)

    def _copy(self, seconds: float) -> None:
        moved = min(self.pending, seconds * self._scenario.link)
        self.pending -= moved
        self.sent += moved
        self.at += seconds

    def _sync(self) -> None:
        scenario = self._scenario
        written = scenario.writing.between(self._synced_at, self.at)
        dirty = scenario.working_set * -math.expm1(-written / scenario.working_set)
        # What was not sent yet may have been dirtied again: it counts once.
        apart = 1 - min(1.0, self.pending / scenario.memory)
        self.pending += dirty * apart
        self.iteration += 1
        self._synced_at = self.at

    def _end(self, how: str, decided: float, downtime: float, rest: float, took: float) -> None:
        self.ending = Ending(how, self.at + took, decided, self.sent + rest, downtime)

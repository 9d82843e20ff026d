"""How a copy of memory goes on: fitted to what its iterations have shown. Pure.

A guest that writes at ``rate`` bytes/s into a working set of ``working_set`` bytes dirties
``working_set * (1 - exp(-rate * t / working_set))`` of them in ``t`` seconds. Each iteration sends what
the one before left dirty, so that two of them give both unknowns away. A plain ratio of successive
remaining bytes would not do: below the working set's size it understates what is to come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

RECENT = 4
"""Ended iterations that count: a guest changes its habits."""
STEPS = 48
"""Working sets tried, evenly on a logarithmic scale."""
HALVINGS = 12
MOST_ITERATIONS = 400
STUCK = 0.998
"""An iteration that leaves more than this share of what it found does not lead anywhere."""


@dataclass(frozen=True)
class Pass:
    """One ended iteration: it took ``seconds`` and left ``dirtied`` bytes to be sent again."""

    seconds: float
    dirtied: int


@dataclass(frozen=True)
class Guest:
    """How a guest writes."""

    working_set: float
    rate: float

    def dirties(self, seconds: float) -> float:
        """Bytes that are dirty ``seconds`` after none was."""
        return self.working_set * -math.expm1(-self.rate * seconds / self.working_set)


@dataclass(frozen=True)
class Outlook:
    """Where pre-copy leads. ``seconds`` until ``floor`` bytes are left, which is the target or, when
    ``reaches`` is False, where it gets stuck."""

    reaches: bool
    seconds: float
    floor: float


def fit(passes: Sequence[Pass], memory: int) -> Guest | None:
    """The guest that explains the passes best; None with fewer than two that dirtied anything."""
    return average(_telling(passes), memory)


def average(passes: Sequence[Pass], memory: int) -> Guest | None:
    """The same of all of them."""
    told = [each for each in passes if each.dirtied > 0 and each.seconds > 0]
    if len(told) < 2:
        return None
    least = max(each.dirtied for each in told) * 1.001
    most = max(float(memory), least * 1.01)
    step = (most / least) ** (1 / STEPS)
    guests = [explained(told, least * step**number) for number in range(STEPS + 1)]
    return min(guests, key=lambda guest: error(guest, told))


def _telling(passes: Sequence[Pass]) -> Sequence[Pass]:
    """The newest, and the longest of all: passes of one length do not tell the two unknowns apart."""
    newest = passes[-RECENT:]
    longest = max(passes, key=lambda each: each.seconds, default=None)
    return newest if longest is None or longest in newest else (longest, *newest)


def slowest(only: Pass, memory: int) -> Guest | None:
    """The one that writes least of all who explain a single pass: it writes all over its memory."""
    if not 0 < only.dirtied < memory or only.seconds <= 0:
        return None
    return explained([only], float(memory))


def explained(passes: Sequence[Pass], working_set: float) -> Guest:
    """The guest with this working set that explains the passes best; each dirtied less than it."""
    rates = [
        -working_set / each.seconds * math.log1p(-each.dirtied / working_set) for each in passes
    ]
    # One that dirtied nearly all says little of the rate, and that noisily.
    trust = [1 - each.dirtied / working_set for each in passes]
    mean = sum(rate * weight for rate, weight in zip(rates, trust, strict=True)) / sum(trust)
    return Guest(working_set, mean)


def error(guest: Guest, passes: Sequence[Pass]) -> float:
    """Squares of what it is off by, relative to what was."""
    told = [each for each in passes if each.dirtied > 0]
    return sum((guest.dirties(each.seconds) / each.dirtied - 1) ** 2 for each in told)


@dataclass(frozen=True)
class Copying:
    """How an iteration ends: at ``bandwidth`` bytes/s all but ``unsent`` bytes are sent."""

    bandwidth: float
    unsent: float = 0.0


def early_look(guest: Guest, remaining: float, bandwidth: float, target: float) -> float:
    """The most that may stay unsent in an iteration so that the next begins with ``target`` bytes at
    most; 0 when all of it has to be sent. It saves the time of sending that."""
    low, high = 0.0, min(remaining, target)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if middle + guest.dirties((remaining - middle) / bandwidth) <= target:
            low = middle
        else:
            high = middle
    return low


def outlook(guest: Guest, remaining: float, copying: Copying, target: float) -> Outlook:
    """Copy on until an iteration begins with at most ``target`` bytes."""
    seconds = 0.0
    for _ in range(MOST_ITERATIONS):
        if remaining <= target:
            return Outlook(True, seconds, remaining)
        took = max(0.0, remaining - copying.unsent) / copying.bandwidth
        left = copying.unsent + guest.dirties(took)
        if left > remaining * STUCK:
            return Outlook(False, seconds, left)
        seconds += took
        remaining = left
    return Outlook(False, seconds, remaining)

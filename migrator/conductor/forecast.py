"""What to expect of a move, from what was measured before it. Pure.

Bytes, seconds, bytes/s; MiB/s where the name says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from migrator.model import (
    PACKED,
    DirtyRate,
    Forecast,
    Means,
    Migration,
    Packing,
    Profile,
    Span,
    Statistics,
)

MIB = 1 << 20
NOTICED_S = 0.05
"""Of every switch, beside sending what is left; on loaded or emulated hosts twice that."""
PREPARE_S = Span(0.3, 2.5)
"""Until the destination's QEMU listens, and until the source's is gone."""
MOST_ITERATIONS = 100
STUCK = 0.98
SOONER = 0.75
"""Of the time; what is won by less is not worth the CPUs of both hosts."""
FIRST_THROTTLE, MORE_THROTTLE, MOST_THROTTLE = 0.2, 0.1, 0.99
"""QEMU's own steps; a guest that is slowed down so writes less by that share."""
SLOWED_FROM = 0.5
"""QEMU slows a guest down that dirties more than this share of what is sent."""
SHARES = (0.1, 0.5)
"""A guest's working set is taken to be between these shares of its memory."""


@dataclass(frozen=True)
class Expected:
    """What a forecast is made of."""

    memory: int
    bandwidth: Span | None
    """bytes/s."""
    dirty: DirtyRate | None
    disks: int = 0
    """Of the disks that are copied; sparse ones send less."""


def link_of(finished: Sequence[Migration], cap_mib_s: int | None) -> Span | None:
    """What the two hosts carried in earlier moves, slowest and fastest; None without any."""
    rates = [rate for each in finished if (rate := _rate(each.statistics)) is not None]
    if not rates:
        return None
    most = math.inf if cap_mib_s is None else cap_mib_s * MIB
    return Span(min(min(rates), most), min(max(rates), most))


def _rate(statistics: Statistics) -> float | None:
    sent, total, setup = statistics.memory_processed, statistics.total_ms, statistics.setup_ms
    if not sent or not total:
        return None
    took = (total - (setup or 0)) / 1000
    # A small transfer tells more of its beginning and end than of the link.
    return sent / took if took > 0 and sent >= LEAST_TELLING else None


LEAST_TELLING = 32 * MIB


def forecast(expected: Expected, profile: Profile, possible: frozenset[Means]) -> Forecast:
    """Span of duration and downtime, and how it will probably end. Disks are copied before memory."""
    memory = _of_memory(expected, profile, possible)
    if not expected.disks or expected.bandwidth is None or memory.duration_s is None:
        return memory
    longest = memory.duration_s.most + expected.disks / expected.bandwidth.least
    return replace(
        memory,
        duration_s=Span(memory.duration_s.least, round(longest, 1)),
        based_on=f"{memory.based_on}; {expected.disks / MIB:.0f} MiB of disks",
    )


def _of_memory(expected: Expected, profile: Profile, possible: frozenset[Means]) -> Forecast:
    link, dirty = expected.bandwidth, expected.dirty
    if link is None or dirty is None:
        known = [] if link is None else ["earlier moves between the two hosts"]
        known += [] if dirty is None else ["the guest's dirty rate"]
        quick = None if link is None else _first_pass(expected.memory, link)
        based_on = " and ".join(known) or "no measurement"
        return Forecast("precopy", quick, None, _mib(link), _dirty_mib_s(dirty), based_on)
    cases = _cases(expected, link, dirty, profile, throttles=False)
    sure = all(each.converges for each in cases)
    packed = Span(link.least * PACKED, link.most * PACKED)
    packing = _packing(cases, _cases(expected, packed, dirty, profile, throttles=False))
    return replace(_measured(expected, profile, possible, cases), sure=sure, packing=packing)


def _packing(cases: Sequence[_Case], packed: Sequence[_Case]) -> Packing:
    """What a link that carried more would do for a pre-copy."""
    if not all(each.converges for each in packed):
        return Packing.NOTHING
    if not all(each.converges for each in cases):
        return Packing.NEEDED
    pairs = zip(cases, packed, strict=True)
    sooner = all(by_it.seconds <= SOONER * each.seconds for each, by_it in pairs)
    return Packing.SOONER if sooner else Packing.NOTHING


def _measured(
    expected: Expected, profile: Profile, possible: frozenset[Means], cases: Sequence[_Case]
) -> Forecast:
    link, dirty = expected.bandwidth, expected.dirty
    assert link is not None
    assert dirty is not None
    ends = [each for each in cases if each.converges]
    if len(ends) * 2 >= len(cases):
        return _told(expected, "precopy", ends)
    quicker = profile.allow_postcopy or profile.allow_pause
    if profile.allow_throttle and Means.THROTTLE in possible and not quicker:
        slowed = _cases(expected, link, dirty, profile, throttles=True)
        if all(each.converges for each in slowed):
            return _told(expected, "precopy", slowed)
    first = _first_pass(expected.memory, link)
    return _other(expected, profile, possible, first, cases)


def _cases(
    expected: Expected, link: Span, dirty: DirtyRate, profile: Profile, throttles: bool
) -> list[_Case]:
    budget_s = profile.max_downtime_ms / 1000
    return [
        _case(_Copy(expected.memory, share, dirty, bandwidth, budget_s, throttles))
        for share in SHARES
        for bandwidth in (link.least, link.most)
    ]


@dataclass(frozen=True)
class _Case:
    converges: bool
    seconds: float
    left: float
    bandwidth: float


@dataclass(frozen=True)
class _Copy:
    """Pre-copy of a guest whose working set is ``share`` of its memory, or what it dirtied if more."""

    memory: int
    share: float
    dirty: DirtyRate
    bandwidth: float
    budget_s: float
    throttles: bool


def _case(copy: _Copy) -> _Case:
    bandwidth, dirty = copy.bandwidth, copy.dirty
    working_set = max(copy.share * copy.memory, dirty.dirtied * 1.01, 1.0)
    rate = -working_set / dirty.seconds * math.log1p(-dirty.dirtied / working_set)
    seconds, left, throttle = 0.0, float(copy.memory), 0.0
    for _ in range(MOST_ITERATIONS):
        if left <= bandwidth * copy.budget_s:
            return _Case(True, seconds + left / bandwidth, left, bandwidth)
        took = left / bandwidth
        again = working_set * -math.expm1(-rate * (1 - throttle) * took / working_set)
        seconds += took
        if copy.throttles and again > left * SLOWED_FROM and throttle < MOST_THROTTLE:
            throttle = min(MOST_THROTTLE, max(FIRST_THROTTLE, throttle + MORE_THROTTLE))
        elif again > left * STUCK:
            return _Case(False, seconds, again, bandwidth)
        left = again
    return _Case(False, seconds, left, bandwidth)


def _told(expected: Expected, method: str, cases: Sequence[_Case]) -> Forecast:
    freeze = [1000 * (each.left / each.bandwidth + NOTICED_S) for each in cases]
    return Forecast(
        method,
        Span(
            round(min(each.seconds for each in cases) + PREPARE_S.least, 1),
            round(max(each.seconds for each in cases) + PREPARE_S.most, 1),
        ),
        Span(round(min(1000 * NOTICED_S, *freeze)), round(max(freeze))),
        _mib(expected.bandwidth),
        _dirty_mib_s(expected.dirty),
        "the guest's dirty rate and earlier moves between the two hosts",
    )


def _other(
    expected: Expected,
    profile: Profile,
    possible: frozenset[Means],
    first: Span,
    cases: Sequence[_Case],
) -> Forecast:
    stuck = [each for each in cases if not each.converges]
    if profile.allow_postcopy and Means.POSTCOPY in possible:
        method, freeze = "postcopy", Span(1000 * NOTICED_S, 2000 * NOTICED_S)
    elif profile.allow_pause:
        longest = max(each.left / each.bandwidth for each in stuck) + NOTICED_S
        method, freeze = "pause", Span(1000 * NOTICED_S, round(1000 * longest))
    elif profile.allow_throttle and Means.THROTTLE in possible:
        method, freeze = "precopy", Span(1000 * NOTICED_S, float(profile.max_downtime_ms))
    else:
        method, freeze = "none", Span(0.0, 0.0)
    rest = max(each.left / each.bandwidth for each in stuck)
    return Forecast(
        method,
        Span(round(first.least, 1), round(first.most + 2 * rest, 1)),
        freeze,
        _mib(expected.bandwidth),
        _dirty_mib_s(expected.dirty),
        "the guest's dirty rate and earlier moves between the two hosts",
    )


def told(expected: Forecast) -> str:
    """For people, in a line."""
    parts = [f"method {expected.method}"]
    if expected.duration_s is not None:
        parts.append(f"{expected.duration_s.least:g} to {expected.duration_s.most:g} s")
    if expected.downtime_ms is not None:
        freeze = expected.downtime_ms
        parts.append(f"freeze {freeze.least:g} to {freeze.most:g} ms")
    return f"{', '.join(parts)} (from {expected.based_on})"


def _first_pass(memory: int, link: Span) -> Span:
    return Span(
        round(memory / link.most + PREPARE_S.least, 1),
        round(memory / link.least + PREPARE_S.most, 1),
    )


def _mib(link: Span | None) -> float | None:
    return None if link is None else round((link.least + link.most) / 2 / MIB, 1)


def _dirty_mib_s(dirty: DirtyRate | None) -> float | None:
    return None if dirty is None else round(dirty.dirtied / dirty.seconds / MIB, 1)

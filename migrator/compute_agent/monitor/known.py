"""What the looks at a transfer have shown, and what was done to it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from migrator.compute_agent.monitor.actions import (
    Abort,
    Action,
    Restart,
    SetDowntime,
    SetSpeed,
    StartPostcopy,
    Suspend,
)
from migrator.compute_agent.monitor.mirror import NOTHING_SEEN, Mirror
from migrator.compute_agent.monitor.phases import FIRST_LATER_ITERATION
from migrator.compute_agent.monitor.predict import Pass
from migrator.model import JobSample

PASSES = 12
"""Ended iterations that are remembered."""
NEWEST = 0.4
"""Weight of the newest measurement in the bandwidth's average."""
DEFAULT_DOWNTIME_MS = 300
"""QEMU's own, where nobody has set another."""
CLEARLY = 0.98
"""Share of the least so far below which less is left."""
MEASURE_S = 0.45
"""Shortest time a bandwidth is measured over: where an iteration ends QEMU sends nothing for a while."""
MOSTLY_EMPTY = 2.0
"""More memory is done with than sent, by this factor."""
MIB = 1 << 20


@dataclass(frozen=True)
class Reading:
    """One look. ``at`` in seconds that only grow; ``job`` None when libvirt shows none."""

    at: float
    job: JobSample | None
    boundary: bool = False
    """Taken because libvirt said that a memory iteration has just begun."""
    paused: bool = False
    """The guest does not run at the source, for whatever reason."""
    postcopy: bool = False
    """libvirt shows that the guest runs at the destination already, by post-copy."""


Key = tuple[str | int, ...]


@dataclass(frozen=True)
class Known:
    """Only what was seen or confirmed; nothing that was only tried is in here. bytes, bytes/s, s."""

    abort_taken_at: float | None = None
    began_at: float | None = None
    """First look that showed a job; survives a restart, for the deadline."""
    mirror: Mirror = NOTHING_SEEN
    memory_at: float | None = None
    first_pass_ended_at: float | None = None
    iteration: int = 0
    iteration_at: float = 0.0
    left: int = 0
    """To be sent when this iteration began."""
    left_before: int = 0
    """And the one before."""
    least: int = 0
    """The least that any iteration has left, and when it was first seen."""
    least_at: float = 0.0
    passes: tuple[Pass, ...] = ()
    throttle: int = 0
    bandwidth: float = 0.0
    best_bandwidth: float = 0.0
    bandwidth_at_boundary: float = 0.0
    measured_at: float = 0.0
    measured_sent: int = 0
    measured_left: int = 0
    moved_at: float = 0.0
    """Last look at which a byte more had been sent."""
    moved: tuple[int, int] = (0, 0)
    downtime_ms: int | None = None
    downtime_iteration: int = 0
    """The iteration in which it was set."""
    speed_mib_s: int | None = None
    postcopy_speed_mib_s: int | None = None
    steps: tuple[tuple[str, float], ...] = ()
    """Ways to the end that libvirt agreed to, and when."""
    refused: frozenset[Key] = frozenset()
    restarted: bool = False

    @property
    def first_pass_s(self) -> float:
        """How long the first pass took; 0 before it has ended."""
        if self.first_pass_ended_at is None or self.memory_at is None:
            return 0.0
        return self.first_pass_ended_at - self.memory_at

    def unsent(self, bandwidth: float) -> float:
        """Bytes that QEMU leaves when it looks for dirtied ones: what the downtime allows."""
        allowed_ms = DEFAULT_DOWNTIME_MS if self.downtime_ms is None else self.downtime_ms
        return bandwidth * allowed_ms / 1000

    def step_at(self, name: str) -> float | None:
        """When libvirt agreed to it."""
        return next((at for each, at in self.steps if each == name), None)


def observe(known: Known, reading: Reading) -> Known:
    """What is known after one more look."""
    job = reading.job
    if job is None:
        return known
    if job.memory_iteration < known.iteration:
        # Another job than the one seen so far.
        known = _anew(known)
    if known.began_at is None:
        known = replace(known, began_at=reading.at, moved_at=reading.at)
    if known.memory_at is None and job.memory_total > 0:
        # What it was started with is set by libvirt as it begins to send, over what was set before.
        known = replace(known, memory_at=reading.at, left=job.memory_total, speed_mib_s=None)
    if job.memory_total == 0:
        known = replace(known, mirror=known.mirror.seen(job))
    known = _measured(known, reading.at, job)
    if job.memory_iteration > known.iteration:
        known = _iterated(known, reading.at, job)
    return known


def _measured(known: Known, at: float, job: JobSample) -> Known:
    moved = (job.memory_processed, job.disk_processed)
    if moved != known.moved:
        known = replace(known, moved=moved, moved_at=at)
    sent = job.memory_processed
    if known.measured_at == 0.0 or sent < known.measured_sent or job.memory_total == 0:
        return _marked(known, at, job)
    took = at - known.measured_at
    if took < MEASURE_S:
        return known
    moved_on = sent - known.measured_sent
    if known.measured_left - job.memory_remaining > MOSTLY_EMPTY * (moved_on + MIB):
        # Pages without content are dealt with and not sent: that tells nothing of the link.
        return _marked(known, at, job)
    now = moved_on / took
    # What took longer to measure counts for more.
    weight = 1 - (1 - NEWEST) ** max(1.0, took / 0.5)
    average = now if known.bandwidth == 0 else (1 - weight) * known.bandwidth + weight * now
    best = max(known.best_bandwidth, average)
    return replace(_marked(known, at, job), bandwidth=average, best_bandwidth=best)


def _marked(known: Known, at: float, job: JobSample) -> Known:
    """The next measurement begins here."""
    return replace(
        known,
        measured_at=at,
        measured_sent=job.memory_processed,
        measured_left=job.memory_remaining,
    )


def _iterated(known: Known, at: float, job: JobSample) -> Known:
    """A new iteration has begun; ``memory_remaining`` is what the ended one left."""
    later = job.memory_iteration >= FIRST_LATER_ITERATION
    followed = job.memory_iteration == known.iteration + 1
    passes = known.passes
    if job.throttle != known.throttle:
        # The guest writes at another rate now.
        passes = ()
    elif later and (followed or known.first_pass_ended_at is None):
        began = known.memory_at if known.first_pass_ended_at is None else known.iteration_at
        if began is not None:
            passes = (*passes, Pass(at - began, _dirtied(known, job)))[-PASSES:]
    ended = at if later and known.first_pass_ended_at is None else known.first_pass_ended_at
    if later and (known.least == 0 or job.memory_remaining < known.least * CLEARLY):
        known = replace(known, least=job.memory_remaining, least_at=at)
    return replace(
        known,
        iteration=job.memory_iteration,
        iteration_at=at,
        first_pass_ended_at=ended,
        left_before=known.left,
        left=job.memory_remaining,
        passes=passes,
        throttle=job.throttle,
        bandwidth_at_boundary=known.bandwidth,
    )


def _dirtied(known: Known, job: JobSample) -> int:
    """What the guest wrote to in the iteration that has ended. It also wrote to some of what was not
    sent in it, which shows only once."""
    unsent = min(known.unsent(known.bandwidth), job.memory_remaining)
    apart = 1 - min(unsent / max(job.memory_total, 1), 0.9)
    return int((job.memory_remaining - unsent) / apart)


def learn(known: Known, action: Action, at: float, taken: bool) -> Known:
    """What is known after ``action``; ``taken`` is whether libvirt agreed to it."""
    if not taken:
        if isinstance(action, Abort):
            return known
        return replace(known, refused=known.refused | {key_of(action)})
    match action:
        case Abort():
            return replace(known, abort_taken_at=at)
        case SetDowntime():
            known = replace(known, downtime_ms=action.ms, downtime_iteration=known.iteration)
            return _stepped(known, action.name, at) if action.beyond else known
        case SetSpeed(postcopy=True):
            return replace(known, postcopy_speed_mib_s=action.mib_s)
        case SetSpeed():
            return replace(known, speed_mib_s=action.mib_s)
        case StartPostcopy() | Suspend():
            return _stepped(known, action.name, at)
        case Restart():
            return replace(_anew(known), restarted=True)
    return known


def _stepped(known: Known, name: str, at: float) -> Known:
    return replace(known, steps=(*known.steps, (name, at)))


def _anew(known: Known) -> Known:
    """Another job of the same attempt."""
    return Known(
        abort_taken_at=known.abort_taken_at,
        began_at=known.began_at,
        restarted=known.restarted,
    )


def key_of(action: Action) -> Key:
    """Equal for actions that ask libvirt for the same thing."""
    match action:
        case SetDowntime():
            return (action.name, action.ms)
        case SetSpeed():
            return (action.name, action.mib_s, int(action.postcopy))
    return (action.name,)

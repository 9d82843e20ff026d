"""What to do about a running transfer. Pure.

The loop does, for every look::

    known = observe(known, reading)
    action = decide(policy, reading, known, asks)
    known = learn(known, action, reading.at, taken)     # after doing it; not for Wait

Rules are read from the top; the first that applies decides, and its name goes into the record.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from migrator.compute_agent.monitor.actions import Abort, Action, Wait
from migrator.compute_agent.monitor.asks import Asks
from migrator.model import JobSample, Phase, TransferPolicy

ABORT_AGAIN_S = 5.0
"""After libvirt took an abort the call returns within 0.2 s; with a frozen QEMU it does not, and
asking again is free."""


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


@dataclass(frozen=True)
class Known:
    """What readings have shown and earlier actions came to; nothing that was only tried is in here."""

    abort_taken_at: float | None = None


def observe(known: Known, reading: Reading) -> Known:
    """What is known after one more look."""
    return known


def decide(policy: TransferPolicy | None, reading: Reading, known: Known, asks: Asks) -> Action:
    """Look a reading up in the rules.

    :param policy: None while nobody has said what the guest tolerates: only asks are obeyed then.
    """
    if reading.job is None:
        return Wait("nothing_runs")
    if not asks.abort:
        return Wait("nothing_asked")
    if known.abort_taken_at is not None and reading.at - known.abort_taken_at < ABORT_AGAIN_S:
        return Wait("abort_under_way")
    return Abort("abort_asked")


def learn(known: Known, action: Action, at: float, taken: bool) -> Known:
    """What is known after ``action``; ``taken`` is whether libvirt agreed to it."""
    if isinstance(action, Abort) and taken:
        return replace(known, abort_taken_at=at)
    return known


def phase_of(job: JobSample) -> Phase:
    """What the transfer is doing: disks are copied before memory."""
    if job.disk_remaining > 0 and job.memory_total == 0:
        return Phase.DISK
    return Phase.MEMORY

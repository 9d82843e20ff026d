"""What to do about a running transfer, from one reading of it. Pure.

Rules are read from the top; the first that applies decides, and its name goes into the log.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from migrator.model import JobSample, Phase

ABORT_AGAIN_S = 5.0
"""After libvirt took an abort the call returns within 0.2 s; with a frozen QEMU it does not, and
asking again is free."""


class Ask(enum.StrEnum):
    """What somebody wants of the transfer."""

    ABORT = "abort"


@dataclass(frozen=True)
class Reading:
    """One look. ``at`` in seconds that only grow; ``job`` None when libvirt shows none."""

    at: float
    job: JobSample | None


@dataclass(frozen=True)
class Known:
    """What earlier actions came to; nothing that was only tried is in here."""

    abort_taken_at: float | None = None


@dataclass(frozen=True)
class Wait:
    """Do nothing."""

    rule: str


@dataclass(frozen=True)
class Abort:
    """Have libvirt end the transfer; the guest stays."""

    rule: str


Action = Wait | Abort


def decide(reading: Reading, known: Known, asks: frozenset[Ask]) -> Action:
    """Look a reading up in the rules."""
    if reading.job is None:
        return Wait("nothing_runs")
    if Ask.ABORT not in asks:
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

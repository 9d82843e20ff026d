"""What a transfer is doing, as its monitor and its operator see it."""

from __future__ import annotations

import enum

from migrator.model import JobSample, Phase


class Stage(enum.StrEnum):
    """Each has rules of its own."""

    DISK = "disk"
    FIRST_PASS = "first_pass"
    """All of the memory is sent once."""
    ITERATIONS = "iterations"
    """What was dirtied meanwhile is sent, again and again."""
    SWITCHOVER = "switchover"
    """The guest is stopped for the switch."""
    POSTCOPY = "postcopy"


FIRST_LATER_ITERATION = 2
"""QEMU counts its looks at what is dirty, and the first is before anything was sent."""


def stage_of(job: JobSample, switching: bool, postcopy: bool) -> Stage:
    """:param switching: the guest is stopped at the source and nobody but the transfer stopped it."""
    if postcopy:
        return Stage.POSTCOPY
    if _copies_disks(job):
        return Stage.DISK
    if switching:
        return Stage.SWITCHOVER
    if job.memory_iteration < FIRST_LATER_ITERATION:
        return Stage.FIRST_PASS
    return Stage.ITERATIONS


def phase_of(job: JobSample, postcopy: bool = False) -> Phase:
    """For an operator."""
    if postcopy:
        return Phase.POSTCOPY
    return Phase.DISK if _copies_disks(job) else Phase.MEMORY


def _copies_disks(job: JobSample) -> bool:
    """They are copied before memory."""
    return job.disk_remaining > 0 and job.memory_total == 0

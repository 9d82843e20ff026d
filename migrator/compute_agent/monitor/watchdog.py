"""When did the transfer last move? Pure.

libvirt waits for ever for a destination's QEMU that hangs, and in post-copy for a link that is cut. The
first is given up here. The second is only told: see :func:`pages_stopped`.
"""

from __future__ import annotations

from dataclasses import dataclass

from migrator.compute_agent.monitor.actions import Facts
from migrator.compute_agent.monitor.decide import Reading
from migrator.model import JobSample

NOTHING_MOVES_S = 20.0
"""Without one byte in pre-copy: longer than TCP takes after a cut of 10 s (13 s seen), short enough to
be rid of a QEMU that hangs within a minute. Giving up costs one more try, nothing else."""
PAGES_STOPPED_S = 8.0
"""Without one page in post-copy: the guest stands still meanwhile. With the conductor's own looks it is
shown within 15 s."""
BIG = 1.5
SMALL = 1 << 20
"""A source that stops for the switch has no more left than BIG times what fits, and these bytes."""
SURE_S = 0.4
"""Between the two looks at a pause."""
LIBVIRTS_DOWNTIME_MS = 300
"""The limit nobody has set."""


@dataclass(frozen=True)
class Flow:
    """What the counters said when they last changed."""

    at: float | None = None
    counters: tuple[int, ...] = ()

    def silent_s(self, at: float) -> float:
        """Seconds without a change; 0 before anything has moved."""
        return 0.0 if self.at is None else at - self.at


def follow(flow: Flow, reading: Reading) -> Flow:
    """What is known after one more look."""
    job = reading.job
    if job is None or not (job.memory_total or job.disk_total):
        return Flow()
    counters = _counters(job)
    if counters == flow.counters and flow.at is not None:
        return flow
    return Flow(reading.at, counters)


def nothing_moves(flow: Flow, reading: Reading) -> bool:
    """A pre-copy that has to be given up."""
    copying = reading.job is not None and not (reading.paused or reading.postcopy)
    return copying and flow.silent_s(reading.at) >= NOTHING_MOVES_S


def pages_stopped(flow: Flow, reading: Reading) -> bool:
    """A post-copy whose connection carries nothing, whatever libvirt calls it.

    It is left alone: TCP goes on by itself once packets pass, and breaking it on purpose gains nothing,
    for the destination's QEMU notices that by the same packets. It may even cost the guest: a thread of
    that QEMU that waits for a page and holds QEMU's global lock then waits for ever, because libvirt
    has to ask that very QEMU, which does not answer meanwhile, before it can connect the two again.
    """
    if not reading.postcopy or reading.job is None:
        return False
    return flow.silent_s(reading.at) >= PAGES_STOPPED_S


def facts_of(flow: Flow, reading: Reading) -> Facts:
    """The numbers behind either verdict."""
    remaining = 0 if reading.job is None else reading.job.memory_remaining
    return {"silent_s": round(flow.silent_s(reading.at), 1), "remaining_bytes": remaining}


@dataclass(frozen=True)
class Pause:
    """The source stands still, and the numbers of the first look at it."""

    at: float
    fits: float
    """Bytes that go over the link within the downtime limit."""
    told: bool = False


def pause_of(reading: Reading, limit_ms: int) -> Pause:
    """The first look at a source that stands still."""
    bandwidth = 0 if reading.job is None else reading.job.memory_bandwidth
    return Pause(reading.at, bandwidth * limit_ms / 1000)


def paused_by_hand(pause: Pause, reading: Reading) -> bool:
    """Somebody has paused the guest while it was copied; libvirt shows that as it shows the switch.

    QEMU stops for the switch once what is left fits into the downtime limit. When much more is left at
    the first look and the limit's time later, somebody else has stopped it. So it is while nothing at
    all was sent. A guest must never stay paused by mistake: in doubt it is the switch.
    """
    job = reading.job
    if job is None or reading.at - pause.at < SURE_S:
        return False
    if job.disk_remaining > 0:
        return True
    if job.memory_processed == 0:
        return job.memory_total == 0 or job.memory_remaining > SMALL
    return pause.fits > 0 and job.memory_remaining > BIG * pause.fits + SMALL


def _counters(job: JobSample) -> tuple[int, ...]:
    return (
        job.memory_processed,
        job.memory_remaining,
        job.memory_iteration,
        job.memory_postcopy_requests,
        job.disk_processed,
        job.disk_remaining,
    )

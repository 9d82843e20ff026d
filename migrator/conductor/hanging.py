"""How long an abort may take before somebody hangs. Pure; bytes, bytes/s, seconds."""

from __future__ import annotations

from migrator.model import JobSample

HANGS_AFTER_S = 5.0
"""After libvirt took an abort the call returns within 0.2 s over a link that is free."""
IN_FLIGHT = 10 << 20
"""What a connection may hold on its way when it is aborted, which the two libvirts' last words wait
behind: Linux's default limits of what one sends and receives (tcp_wmem 4 MiB, tcp_rmem 6 MiB)."""
MOST_S = 60.0
"""A link that takes longer does not carry the two libvirts' own keepalives either."""


def hangs_after_s(job: JobSample | None, connections: int = 1) -> float:
    """Seconds since the abort after which a transfer that has not ended is held to hang.

    What the link has carried tells how long it takes to empty: a slow one is no QEMU that hangs.
    """
    if job is None or job.memory_bandwidth <= 0:
        return HANGS_AFTER_S
    return min(HANGS_AFTER_S + connections * IN_FLIGHT / job.memory_bandwidth, MOST_S)

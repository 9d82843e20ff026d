"""What can happen to a fake transfer, and how long things take there."""

from __future__ import annotations

import enum
from dataclasses import dataclass

FOREVER_S = 1e6


@dataclass(frozen=True)
class FakeTiming:
    """How long things take, in seconds; the defaults are what was measured with libvirt 9.0."""

    setup_s: float = 0.3
    """From the call to the destination's domain existing."""
    copy_s: float = 0.5
    """An idle guest of 256 MiB."""
    linger_s: float = 1.4
    """The source stays visible after the switch."""
    blocked_s: float = 30.0
    """Metadata and autostart wait this long for a job to end, then fail."""
    reply_lost_s: float = 25.0
    """libvirt's peer-to-peer keepalive: after that the source believes the destination dead."""
    qemu_death_s: float = 1.2
    """A dead destination QEMU is noticed after this."""
    disk_s: float = 1.0
    """Copying the disks, where there are any to copy."""


FAST = FakeTiming(0.01, 0.1, 0.1, 0.2, 0.4, 0.02, 0.1)
"""For tests on the real clock."""


class Signal(enum.Enum):
    """What can happen to a transfer while it waits."""

    ABORT = "operation aborted: job 'migration out' canceled by client"
    RELEASE = "go on"
    SOURCE_GONE = "operation failed: domain is not running"
    DESTINATION_GONE = "operation failed: job 'migration out' unexpectedly failed"
    PEER_CLOSED = "End of file while reading data: Input/output error"
    SOURCE_LIBVIRT_DOWN = "Disconnected from the source's libvirt"
    FREEZE = "the destination's QEMU is stopped"
    THAW = "the destination's QEMU goes on"
    NO_SPACE = "migration of disk vda failed: No space left on device"
    CUT = "client socket is closed"
    START_POSTCOPY = "the guest is to run at the destination now"
    PAUSE_POSTCOPY = "post-copy is broken on purpose"
    PEER_NOTICED = "the destination's QEMU has found its connection dead"
    LINK = "the link for memory was cut, or is back"

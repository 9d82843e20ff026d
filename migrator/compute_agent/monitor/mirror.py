"""Whether the disks' mirror gains on a guest that writes to them. Pure.

QEMU counts what the guest writes to a disk that is being mirrored as to be sent once more: what is left
stays what it is, however much is sent, while the guest writes as fast as the link carries. Such a mirror
never ends. One that writes synchronously does: each write of the guest waits until it is at both ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from migrator.model import JobSample

MIB = 1 << 20
LEAST = 4 * MIB
"""Sent bytes a gain is measured over, at least."""
SHARE = 1 / 8
"""Of what is left, likewise: a burst of writes is soon a small part of that."""
LAGS = 0.1
"""Share of what was sent by which less is left; below it the mirror does not gain on the guest."""
TIMES = 2
"""Measurements in a row."""


@dataclass(frozen=True)
class Mirror:
    """Where the present measurement began, and what the ones before have shown. Bytes."""

    sent: int = 0
    left: int = 0
    lagged: int = 0
    """Measurements in a row without a gain."""
    gain: float = 1.0
    """Of the last one."""

    @property
    def lags(self) -> bool:
        """It will not end."""
        return self.lagged >= TIMES

    @property
    def facts(self) -> Mapping[str, float]:
        """The numbers it was judged by."""
        return {
            "disk_remaining_mib": round(self.left / MIB, 1),
            "disk_sent_mib": round(self.sent / MIB, 1),
            "gain": round(self.gain, 3),
        }

    def seen(self, job: JobSample) -> Mirror:
        """After one more look."""
        sent, left = job.disk_processed, job.disk_remaining
        if self.left == 0 or sent < self.sent:
            return Mirror(sent, left)
        moved = sent - self.sent
        if moved < max(LEAST, self.left * SHARE):
            return self
        gain = (self.left - left) / moved
        return Mirror(sent, left, self.lagged + 1 if gain < LAGS else 0, gain)


NOTHING_SEEN = Mirror()

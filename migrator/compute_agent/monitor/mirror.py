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
LEAST = 8 * MIB
"""Sent bytes without a gain that say something, at least; what is left jumps by some MiB on its own."""
SHARE = 0.5
"""Of what is left, likewise: a burst of writes that ends before half of it was sent costs no restart."""
GAIN = 0.1
"""Share of what was sent by which less must be left; with less than that the copy takes over ten times
as long as the link needs for it, or never ends."""


@dataclass(frozen=True)
class Mirror:
    """The last look that showed a gain, and the present one. Bytes."""

    sent: int = 0
    left: int = 0
    sent_at_gain: int = 0
    left_at_gain: int = 0

    @property
    def sent_in_vain(self) -> int:
        return self.sent - self.sent_at_gain

    @property
    def lags(self) -> bool:
        """It will not end."""
        return self.sent_in_vain >= max(LEAST, int(self.left_at_gain * SHARE)) > 0

    @property
    def facts(self) -> Mapping[str, float]:
        """The numbers it is judged by."""
        return {
            "disk_remaining_mib": round(self.left / MIB, 1),
            "disk_remaining_before_mib": round(self.left_at_gain / MIB, 1),
            "disk_sent_since_mib": round(self.sent_in_vain / MIB, 1),
        }

    def seen(self, job: JobSample) -> Mirror:
        """After one more look."""
        sent, left = job.disk_processed, job.disk_remaining
        begins = self.left_at_gain == 0 or sent < self.sent
        if begins or left <= self.left_at_gain - GAIN * (sent - self.sent_at_gain):
            return Mirror(sent, left, sent, left)
        return Mirror(sent, left, self.sent_at_gain, self.left_at_gain)


NOTHING_SEEN = Mirror()

"""Taking turns at hosts.

A claim compares the host's claims generation with the one that was selected by: whoever comes second
selects again. Many that want one host at once would mostly make each other do that; so those of one
conductor take turns at a host, and after a conflict, which another conductor made, each waits a moment
of its own length.
"""

from __future__ import annotations

import zlib
from contextlib import AbstractContextManager

from migrator.ports import Concurrency

FIRST_PAUSE_S = 0.02
"""A claim takes some milliseconds."""
MOST_PAUSE_S = 0.5


class HostTurns:
    """One claim at a time on each host, of all that this process takes."""

    def __init__(self, concurrency: Concurrency) -> None:
        self._concurrency = concurrency
        self._lock = concurrency.lock()
        self._turns: dict[str, AbstractContextManager[object]] = {}
        self._taken: dict[str, int] = {}

    def at(self, host: str) -> AbstractContextManager[object]:
        """Held while a claim there is selected for and taken."""
        with self._lock:
            if host not in self._turns:
                self._turns[host] = self._concurrency.lock()
            return self._turns[host]

    def is_over(self, host: str, generation: int) -> bool:
        """Whether somebody has taken a claim there since: comparing would be in vain. For who has the
        turn."""
        return generation <= self._taken.get(host, -1)

    def took(self, host: str, generation: int) -> None:
        self._taken[host] = generation


def pause_s(migration_id: str, conflicts: int) -> float:
    """Before the next try after so many conflicts (1, 2, ...). Of two migrations that had the same,
    one comes back first."""
    most = min(FIRST_PAUSE_S * 2 ** min(conflicts - 1, 20), MOST_PAUSE_S)
    share = zlib.crc32(f"{migration_id} {conflicts}".encode()) / 2**32
    return float(most * share)

"""In which order an agent has seen what it says about its guests."""

from __future__ import annotations

from migrator.ports import Clock, Concurrency

_PER_SECOND = 1_000_000
"""More looks than that no agent takes."""


class Numbering:
    """Whoever looks takes a number before: what has a higher one was read later, and what is read after
    a change was seen has a higher one than what may have missed it.

    Numbers follow the clock, so that those of a process that was started later are higher.
    """

    def __init__(self, clock: Clock, concurrency: Concurrency) -> None:
        self._clock = clock
        self._lock = concurrency.lock()
        self._last = 0

    def next(self) -> int:
        """For what is about to be read."""
        with self._lock:
            now = round(self._clock.now().timestamp() * _PER_SECOND)
            self._last = max(self._last + 1, now)
            return self._last

    def go_on_above(self, number: int) -> None:
        """A conductor has heard this one already, from a process whose clock was ahead."""
        with self._lock:
            self._last = max(self._last, number)

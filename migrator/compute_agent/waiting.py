"""Looking again until something is so, for at most a given time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from migrator.ports import Clock

T = TypeVar("T")


def poll(clock: Clock, timeout: float, every: float, look: Callable[[], T | None]) -> T | None:
    """What ``look`` found, as soon as it is not None; None when ``timeout`` seconds brought nothing.

    Looks at least once, and a last time when the time is up.
    """
    deadline = clock.monotonic() + timeout
    while True:
        found = look()
        left = deadline - clock.monotonic()
        if found is not None or left <= 0:
            return found
        clock.sleep(min(every, left))


def delay(attempt: int, first: float, most: float) -> float:
    """Seconds to wait before try number ``attempt`` (1, 2, ...): doubles up to ``most``."""
    return float(min(first * 2 ** min(attempt - 1, 20), most))

"""What everything that drives may wait on, and nothing else.

Code in the drive layer never imports time, threading, queue or random; it is given these, so that a
seeded scheduler with a virtual clock can run the whole service deterministically.
:mod:`migrator.threads` has the real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Clock(Protocol):
    """Time as the service sees it."""

    def now(self) -> datetime:
        """Wall clock, UTC; for records only, never for durations."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow; for durations and deadlines."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block the calling worker."""
        ...


class Inbox(Protocol[T]):
    """A mailbox with one reader."""

    def put(self, item: T) -> None:
        """Deliver; never blocks."""
        ...

    def get(self, timeout: float) -> T | None:
        """The oldest item, or None after ``timeout`` seconds without one."""
        ...


class Worker(Protocol):
    """A running piece of work."""

    @property
    def alive(self) -> bool: ...

    def join(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds; True when it has ended."""
        ...


class Concurrency(Protocol):
    """Where workers, mailboxes, locks and fresh identities come from."""

    def spawn(self, name: str, work: Callable[[], None]) -> Worker:
        """Run ``work`` in a worker of its own; what it raises is logged, never lost."""
        ...

    def inbox(self) -> Inbox[object]: ...

    def lock(self) -> AbstractContextManager[object]: ...

    def fresh_id(self) -> str:
        """A UUID never used before."""
        ...

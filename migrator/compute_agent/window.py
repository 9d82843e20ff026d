"""How much an agent asks of conductors at the same time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from migrator.ports import Concurrency, Inbox

WIDTH = 8
"""Calls in flight. A conductor answers some 200 a second, and a caller waits 4 s for a sign of life, so
that what twenty agents ask at once is answered in time. Without a limit, fifty guests that leave a host
together make a hundred calls; they are answered when nobody waits any more, and are made again."""
IDLE_S = 3600.0
"""Until somebody leaves; any long wait would do."""


class Window:
    """So many are inside at a time; the others wait outside, in their order."""

    def __init__(self, concurrency: Concurrency, width: int = WIDTH) -> None:
        self._concurrency = concurrency
        self._lock = concurrency.lock()
        self._free = width
        self._waiting: deque[Inbox[object]] = deque()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Wait for a place, and have it inside the block."""
        ticket = self._take()
        if ticket is not None:
            while ticket.get(IDLE_S) is None:
                continue
        try:
            yield
        finally:
            self._leave()

    def _take(self) -> Inbox[object] | None:
        """A place at once, or a ticket that is called."""
        with self._lock:
            if self._free:
                self._free -= 1
                return None
            ticket = self._concurrency.inbox()
            self._waiting.append(ticket)
            return ticket

    def _leave(self) -> None:
        """The place goes to whoever has waited longest."""
        with self._lock:
            if not self._waiting:
                self._free += 1
                return
            ticket = self._waiting.popleft()
        ticket.put(True)

"""One command at a time on each guest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from migrator.errors import Transient
from migrator.ports import Concurrency, Inbox


class Turns:
    """First come, first served, per guest; guests do not wait for each other.

    Without it the slow start of a replaced leader could begin a transfer right after its successor
    was told that none runs.
    """

    def __init__(self, concurrency: Concurrency) -> None:
        self._concurrency = concurrency
        self._lock = concurrency.lock()
        self._queues: dict[str, deque[Inbox[object]]] = {}

    @contextmanager
    def hold(self, instance_id: str, timeout: float) -> Iterator[None]:
        """Have the turn of ``instance_id`` inside the block.

        :raises Transient: ``command.deadline`` when it did not come within ``timeout`` seconds.
        """
        ticket = self._concurrency.inbox()
        with self._lock:
            queue = self._queues.setdefault(instance_id, deque())
            queue.append(ticket)
            first = queue[0] is ticket
        try:
            if not first and ticket.get(timeout) is None:
                raise Transient(
                    "command.deadline",
                    f"another command on the same guest was still being worked on after {timeout:.0f}"
                    " s; nothing was done, ask again",
                )
            yield
        finally:
            self._leave(instance_id, ticket)

    def _leave(self, instance_id: str, ticket: Inbox[object]) -> None:
        with self._lock:
            queue = self._queues[instance_id]
            had_turn = queue[0] is ticket
            queue.remove(ticket)
            if not queue:
                del self._queues[instance_id]
            elif had_turn:
                queue[0].put(True)

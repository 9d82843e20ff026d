"""Something that happens once and can be waited for by many."""

from __future__ import annotations

from migrator.ports import Concurrency, Inbox


class Latch:
    """Unset, then set for ever. Built on mailboxes, so that a virtual clock can drive the waits."""

    def __init__(self, concurrency: Concurrency) -> None:
        self._concurrency = concurrency
        self._lock = concurrency.lock()
        self._is_set = False
        self._waiting: list[Inbox[object]] = []

    @property
    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        with self._lock:
            self._is_set = True
            waiting, self._waiting = self._waiting, []
        for inbox in waiting:
            inbox.put(True)

    def wait(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds; whether it is set."""
        with self._lock:
            if self._is_set:
                return True
            inbox = self._concurrency.inbox()
            self._waiting.append(inbox)
        if inbox.get(timeout) is None:
            with self._lock:
                if inbox in self._waiting:
                    self._waiting.remove(inbox)
        return self._is_set

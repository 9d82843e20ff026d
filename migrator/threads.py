"""The real clock and the real threads behind :mod:`migrator.ports`."""

from __future__ import annotations

import logging
import queue
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime

LOG = logging.getLogger(__name__)


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class ThreadInbox:
    """A queue with one reader."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[object] = queue.SimpleQueue()

    def put(self, item: object) -> None:
        self._queue.put(item)

    def get(self, timeout: float) -> object | None:
        try:
            return self._queue.get(timeout=max(timeout, 0.0))
        except queue.Empty:
            return None


class ThreadWorker:
    """One thread."""

    def __init__(self, thread: threading.Thread) -> None:
        self._thread = thread

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout: float) -> bool:
        self._thread.join(timeout)
        return not self._thread.is_alive()


class Threads:
    """Workers are daemon threads: a process that must end is never held by one."""

    def spawn(self, name: str, work: Callable[[], None]) -> ThreadWorker:
        def run() -> None:
            try:
                work()
            except Exception:
                LOG.exception("worker %s ended with an error", name)

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return ThreadWorker(thread)

    def inbox(self) -> ThreadInbox:
        return ThreadInbox()

    def lock(self) -> AbstractContextManager[object]:
        return threading.RLock()

    def fresh_id(self) -> str:
        return str(uuid.uuid4())

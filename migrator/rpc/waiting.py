"""Bounded waiting: what the library would wait for without end is waited for in a thread aside."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

MIN_MONITOR_TIMEOUT = 2.0
"""Seconds. A server sends a heartbeat every half of it, and none when that is under a second."""

CLOSE_GRACE = 10.0
"""Seconds to wait for a broker to take a goodbye before a connection is left to the kernel."""


def in_background(name: str, work: Callable[[], T]) -> concurrent.futures.Future[T]:
    """Run in a thread that neither the caller nor the end of the process has to wait for.

    Between a call and the broker there are waits of oslo.messaging's that no timeout reaches: the
    connection for replies, the lock of a connection that is being repaired, a full pool.
    """
    future: concurrent.futures.Future[T] = concurrent.futures.Future()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def ended(future: concurrent.futures.Future[Any], timeout: float) -> bool:
    """Wait at most ``timeout`` seconds."""
    return bool(concurrent.futures.wait([future], timeout=max(timeout, 0.0)).done)

"""The connection that replies to a process's calls arrive on."""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import threading
import uuid
from typing import Any

import oslo_messaging

from migrator.rpc.attempt import Attempt
from migrator.rpc.waiting import CLOSE_GRACE, ended, in_background


class ReplyPath:
    """The connection replies arrive on, made once and before the first call needs it.

    oslo.messaging makes it inside the first call, retrying for ever and under a lock. Here one
    thread does that however many callers wait, and it carries no command.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._lock = threading.Lock()
        self._attempt: concurrent.futures.Future[None] | None = None

    def ensure(self, topic: str, timeout: float) -> None:
        """Return when it stands; raises what went wrong, TimeoutError after ``timeout`` seconds."""
        with self._lock:
            attempt = self._attempt
            if attempt is None or (attempt.done() and attempt.exception() is not None):
                attempt = in_background("rpc-connect", functools.partial(self._connect, topic))
                self._attempt = attempt
        if not ended(attempt, timeout):
            raise TimeoutError
        attempt.result()

    def _connect(self, topic: str) -> None:
        nobody = oslo_messaging.Target(topic=topic, server=f"nobody.{uuid.uuid4()}")
        client = oslo_messaging.get_rpc_client(
            self._transport, nobody, timeout=CLOSE_GRACE, retry=1, transport_options=Attempt()
        )
        with contextlib.suppress(oslo_messaging.MessageUndeliverable):
            client.call({}, "connect")

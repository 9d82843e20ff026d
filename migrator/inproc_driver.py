"""An oslo.messaging driver for one process: ``inproc:///name``.

Conductor, API and agents of a standalone deployment talk through it exactly as they would through
RabbitMQ, at well under a millisecond a message and without a thread or a timer of its own: a sender
hands the message to the receiving server's worker pool, whose queue it waits in, and sleeps on a
queue of its own until the answer arrives.

What is the same as with a broker: messages are JSON on their way, so nothing mutable crosses; a
call without a server goes to the servers of a topic in turn; call-monitor heartbeats are sent and
required. What differs: a server that has stopped is undeliverable at once, because no queue
outlives it. The virtual host of the URL is the name of a separate world.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import oslo_messaging
from oslo_messaging._drivers import base, common
from oslo_serialization import jsonutils


class _Incoming(base.RpcIncomingMessage):  # type: ignore[misc]
    """A request as its server sees it. ``replies`` is None when nobody waits."""

    def __init__(
        self, document: str, replies: queue.SimpleQueue[str | None] | None, monitor: float | None
    ) -> None:
        ctxt, message = jsonutils.loads(document)
        super().__init__(ctxt, message)
        self.client_timeout = monitor
        self._replies = replies

    def reply(self, reply: Any = None, failure: Any = None) -> None:
        if self._replies is not None:
            error = common.serialize_remote_exception(failure) if failure else None
            self._replies.put(jsonutils.dumps([reply, error]))

    def heartbeat(self) -> None:
        if self._replies is not None:
            self._replies.put(None)

    def requeue(self) -> None:
        raise NotImplementedError("a request is given to a server once")


class _Listener(base.Listener):  # type: ignore[misc]
    """One server's ear. Messages that come before it is started are kept for it."""

    def __init__(self, hub: _Hub, key: tuple[str, str], server: str) -> None:
        super().__init__(batch_size=1, batch_timeout=None)
        self.server = server
        self._hub = hub
        self._key = key
        self._lock = threading.Lock()
        self._early: list[_Incoming] = []
        self._open = True

    def start(self, on_incoming_callback: Callable[[list[_Incoming]], None]) -> None:
        with self._lock:
            super().start(on_incoming_callback)
            for incoming in self._early:
                on_incoming_callback([incoming])
            self._early.clear()

    def stop(self) -> None:
        self.cleanup()
        with self._lock:
            self._open = False
            super().stop()

    def cleanup(self) -> None:
        self._hub.remove(self._key, self)

    def deliver(self, incoming: _Incoming) -> bool:
        """Hand over; False when the server stopped in the meantime.

        Under the lock, so that everything delivered is in the server's pool when ``stop`` returns
        and is drained with it.
        """
        with self._lock:
            if not self._open:
                return False
            if self.on_incoming_callback is None:
                self._early.append(incoming)
            else:
                self.on_incoming_callback([incoming])
            return True


class _Hub:
    """Who listens to what, under one virtual host. ``key`` is (exchange, topic)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[tuple[str, str], list[_Listener]] = {}
        self._turns: dict[tuple[str, str], Iterator[int]] = {}

    def add(self, key: tuple[str, str], server: str) -> _Listener:
        listener = _Listener(self, key, server)
        with self._lock:
            self._listeners.setdefault(key, []).append(listener)
            self._turns.setdefault(key, itertools.count())
        return listener

    def remove(self, key: tuple[str, str], listener: _Listener) -> None:
        with self._lock:
            if listener in self._listeners.get(key, ()):
                self._listeners[key].remove(listener)

    def everyone(self, key: tuple[str, str]) -> list[_Listener]:
        with self._lock:
            return list(self._listeners.get(key, ()))

    def next(self, key: tuple[str, str], server: str | None) -> _Listener | None:
        """The server of that name or, without a name, whose turn it is."""
        fitting = [one for one in self.everyone(key) if server is None or one.server == server]
        return fitting[next(self._turns[key]) % len(fitting)] if fitting else None


_HUBS: weakref.WeakValueDictionary[str, _Hub] = weakref.WeakValueDictionary()
_HUBS_LOCK = threading.Lock()


class InprocDriver(base.BaseDriver):  # type: ignore[misc]
    """RPC inside one process; no notifications."""

    def __init__(
        self,
        conf: Any,
        url: Any,
        default_exchange: str | None = None,
        allowed_remote_exmods: list[str] | None = None,
    ) -> None:
        super().__init__(conf, url, default_exchange, allowed_remote_exmods)
        name = url.virtual_host or ""
        with _HUBS_LOCK:
            self._hub = _HUBS.setdefault(name, _Hub())

    def send(
        self,
        target: Any,
        ctxt: dict[str, Any],
        message: dict[str, Any],
        wait_for_reply: bool | None = None,
        timeout: float | None = None,
        call_monitor_timeout: float | None = None,
        retry: int | None = None,
        transport_options: Any = None,
    ) -> Any:
        """Deliver and, for a call, wait; timeouts in seconds. Raises as a broker's driver."""
        key = (target.exchange or self._default_exchange, target.topic)
        document = jsonutils.dumps([ctxt, message])
        replies: queue.SimpleQueue[str | None] | None = None
        if wait_for_reply:
            replies = queue.SimpleQueue()
        if target.fanout:
            for listener in self._hub.everyone(key):
                listener.deliver(_Incoming(document, None, None))
            return None
        incoming = _Incoming(document, replies, call_monitor_timeout)
        while True:
            chosen = self._hub.next(key, target.server)
            if chosen is None:
                address = f"{target.topic}.{target.server}" if target.server else target.topic
                raise oslo_messaging.MessageUndeliverable(
                    f"nobody listens to {address}", key[0], address, message
                )
            if chosen.deliver(incoming):
                break
        if replies is None:
            return None
        return self._await_reply(replies, timeout, call_monitor_timeout)

    def _await_reply(
        self,
        replies: queue.SimpleQueue[str | None],
        timeout: float | None,
        monitor: float | None,
    ) -> Any:
        started = time.monotonic()
        deadline = started + timeout if timeout is not None else float("inf")
        alive_until = started + monitor if monitor else float("inf")
        while True:
            left = min(deadline, alive_until) - time.monotonic()
            try:
                reply = replies.get(timeout=None if left == float("inf") else max(left, 0.0))
            except queue.Empty:
                raise oslo_messaging.MessagingTimeout("no reply in time") from None
            if reply is not None:
                break
            alive_until = time.monotonic() + monitor if monitor else alive_until
        result, error = jsonutils.loads(reply)
        if error:
            raise common.deserialize_remote_exception(error, self._allowed_remote_exmods)
        return result

    def listen(self, target: Any, batch_size: int, batch_timeout: float | None) -> _Listener:
        """An ear for (exchange, topic) under the name ``target.server``."""
        return self._hub.add(
            (target.exchange or self._default_exchange, target.topic), target.server
        )

    def send_notification(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("inproc carries RPC only")

    def listen_for_notifications(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("inproc carries RPC only")

    def cleanup(self) -> None:
        """Nothing to release: listeners leave when their server stops."""

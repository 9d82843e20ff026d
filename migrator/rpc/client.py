"""Calls the servers of one topic, each call within its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from migrator.messages import Method
from migrator.rpc.attempt import Attempt
from migrator.rpc.envelope import open_envelope
from migrator.rpc.failures import call_failure
from migrator.rpc.reply_path import ReplyPath
from migrator.rpc.waiting import MIN_MONITOR_TIMEOUT, ended, in_background

T = TypeVar("T")


class Client:
    """Calls the servers of one topic."""

    def __init__(
        self, rpc: Any, topic: str, methods: Sequence[Method], reply_path: ReplyPath | None
    ) -> None:
        self._rpc = rpc
        self._topic = topic
        self._methods = {method.name: method for method in methods}
        self._reply_path = reply_path

    def call(
        self,
        method_name: str,
        request: msgspec.Struct,
        *,
        server: str | None = None,
        timeout: float,
        monitor_timeout: float | None = None,
    ) -> Any:
        """Ask and wait for the answer, an instance of the method's reply type.

        :param server: ask that server; without it, one of the topic's.
        :param timeout: seconds; the call has ended by then, whatever happens.
        :param monitor_timeout: seconds, at least 2; give up when the server shows no sign of life
            for that long. Without it a server that died is noticed at ``timeout`` only.
        :raises Refused: what the server answered, ``rpc.bad_request`` or ``rpc.version``.
        :raises Transient: what the server answered, ``rpc.timeout`` (it may still run there) or
            ``rpc.unreachable``.
        :raises Broken: what the server answered, or ``internal``.
        """
        method = self._methods[method_name]
        if monitor_timeout is not None and monitor_timeout < MIN_MONITOR_TIMEOUT:
            raise ValueError(f"monitor_timeout is at least {MIN_MONITOR_TIMEOUT:g} s")
        deadline = time.monotonic() + timeout
        body = msgspec.to_builtins(request, str_keys=True)
        attempt = Attempt()

        def send() -> Any:
            context = self._rpc.prepare(
                server=server,
                timeout=max(deadline - time.monotonic(), 0.001),
                call_monitor_timeout=monitor_timeout,
                transport_options=attempt,
            )
            return context.call({}, method.name, request=body)

        try:
            if self._reply_path is not None:
                self._reply_path.ensure(self._topic, timeout)
            envelope = self._bounded(send, attempt, deadline)
        except Exception as error:
            where = self._where(server)
            raise call_failure(error, method.name, where, attempt, deadline) from error
        return open_envelope(method, envelope)

    def notify(
        self,
        method_name: str,
        request: msgspec.Struct,
        *,
        server: str | None = None,
        timeout: float = 5.0,
    ) -> None:
        """Tell one server something and wait for nothing.

        Never for commands: a notification sent while its server is down is delivered when it comes
        back, however late that is, and nobody hears of its refusal.

        :param timeout: seconds to hand it to the broker.
        :raises Transient: ``rpc.unreachable``: it was not handed over, or nobody listens.
        """
        self._cast(method_name, request, timeout, server=server)

    def notify_all(
        self, method_name: str, request: msgspec.Struct, *, timeout: float = 5.0
    ) -> None:
        """Tell every server of the topic, also when there is none; see :meth:`notify`."""
        self._cast(method_name, request, timeout, fanout=True)

    def _cast(
        self, method_name: str, request: msgspec.Struct, timeout: float, **address: Any
    ) -> None:
        method = self._methods[method_name]
        deadline = time.monotonic() + timeout
        attempt = Attempt()
        context = self._rpc.prepare(transport_options=attempt, **address)
        body = msgspec.to_builtins(request, str_keys=True)
        try:
            self._bounded(lambda: context.cast({}, method.name, request=body), attempt, deadline)
        except Exception as error:
            where = self._where(address.get("server"))
            raise call_failure(error, method.name, where, attempt, deadline) from error

    def _bounded(self, send: Callable[[], T], attempt: Attempt, deadline: float) -> T:
        if deadline <= time.monotonic():
            raise TimeoutError
        if self._reply_path is None:  # in one process nothing waits but for the reply
            return send()
        sending = in_background("rpc-send", send)
        if not ended(sending, deadline - time.monotonic()):
            attempt.call_off()
            raise TimeoutError
        return sending.result()

    def _where(self, server: str | None) -> str:
        return f"{self._topic} at {server}" if server else self._topic

"""Handles the requests of one topic under one name."""

from __future__ import annotations

import concurrent.futures
import logging
from typing import Any

from oslo_messaging.rpc import server as oslo_server

from migrator.rpc.dispatcher import Dispatcher, is_request
from migrator.rpc.failures import broker_error
from migrator.rpc.waiting import MIN_MONITOR_TIMEOUT, in_background

LOG = logging.getLogger(__name__)


class Server:
    """Handles the requests of one topic under one name."""

    def __init__(self, oslo: OsloServer, threads: int) -> None:
        self._oslo = oslo
        self._threads = threads
        self._started = False

    def start(self) -> None:
        """Begin to serve; with a broker that is away, waits (and logs) until it is there.

        :raises Refused: ``config.invalid``: the broker does not want us, as of :func:`probe`.
        """
        self._started = True
        try:
            self._oslo.start(override_pool_size=self._threads)
        except Exception as error:
            raise broker_error(error) from error

    def stop(self, grace: float | None = None) -> None:
        """Take no more requests and return when those being handled are answered.

        :param grace: seconds to wait at most (None: as long as it takes); a broker that is away
            keeps answers from being delivered.
        """

        if not self._started:
            return

        def drain() -> None:
            self._oslo.stop()
            self._oslo.wait()

        drained = in_background("rpc-drain", drain)
        if concurrent.futures.wait([drained], timeout=grace).done:
            drained.result()
        else:
            LOG.warning("requests were still being handled %g s after the stop", grace)


class OsloServer(oslo_server.RPCServer):  # type: ignore[misc]
    """oslo.messaging's server, with a pool that is idle when idle and no trust in messages."""

    def __init__(self, transport: Any, target: Any, dispatcher: Dispatcher) -> None:
        super().__init__(transport, target, dispatcher)
        # Its default, futurist's pool, wakes every worker each second and takes one to stop.
        self._executor_cls = concurrent.futures.ThreadPoolExecutor

    def _process_incoming(self, incoming: list[Any]) -> None:
        """Handle one message, or drop it when it is none of ours: it has no one to answer to.

        What is not JSON never gets here; the driver rejects it without requeueing.
        """
        message = incoming[0].message
        # A reply address that is no name would cost a connection.
        nowhere = not isinstance(getattr(incoming[0], "reply_q", None), str | None)
        if nowhere or not is_request(message):
            LOG.warning(
                "dropped a message that is no request: %s of %d entries",
                type(message).__name__,
                len(message),
            )
            return
        monitor = incoming[0].client_timeout
        if not isinstance(monitor, int | float) or monitor < MIN_MONITOR_TIMEOUT:
            incoming[0].client_timeout = None
        super()._process_incoming(incoming)

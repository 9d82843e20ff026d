"""One message transport: where clients and servers of a process come from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import oslo_messaging

from migrator.messages import Method
from migrator.rpc.client import Client
from migrator.rpc.dispatcher import Dispatcher
from migrator.rpc.rabbit import open_transport
from migrator.rpc.reply_path import ReplyPath
from migrator.rpc.server import OsloServer, Server
from migrator.rpc.waiting import CLOSE_GRACE, ended, in_background

LOG = logging.getLogger(__name__)


class Bus:
    """One message transport: where clients and servers of a process come from.

    Open it after the last fork. Clients and servers have connections of their own, because a server
    waits for a lost broker as long as it takes and a caller does not.
    """

    def __init__(self, calls: Any, serving: Any, url: Any) -> None:
        self._calls = calls
        self._serving = serving
        self._in_process = url.transport == "inproc"
        self._retry = max(1, len(url.hosts))
        self._reply_path = ReplyPath(calls)

    @classmethod
    def open(cls, conf: Any, url: str | None = None) -> Bus:
        """Prepare; connections are made when first needed, so a dead broker does not delay this.

        :param conf: the global ``oslo_config.cfg.CONF``; oslo.messaging fails on a private one.
        :param url: ``rabbit://user:password@host:port/vhost`` or ``inproc:///name``; None takes
            ``transport_url`` from the configuration.
        """
        calls, serving = open_transport(conf, url), open_transport(conf, url)
        return cls(calls, serving, oslo_messaging.TransportURL.parse(conf, url))

    def client(self, topic: str, methods: Sequence[Method], version: str = "1.0") -> Client:
        """A caller of the servers of ``topic``."""
        rpc = oslo_messaging.get_rpc_client(
            self._calls, oslo_messaging.Target(topic=topic, version=version), retry=self._retry
        )
        return Client(rpc, topic, methods, None if self._in_process else self._reply_path)

    def server(
        self,
        topic: str,
        server_name: str,
        methods: Sequence[Method],
        endpoint: object,
        threads: int = 64,
        version: str = "1.0",
    ) -> Server:
        """Serve ``endpoint``: one method ``name(request) -> reply`` for each of ``methods``.

        :param threads: how many requests are handled at a time; more wait in memory.
        :param version: ``major.minor`` of what ``methods`` are; a newer minor serves older callers.
        """
        target = oslo_messaging.Target(topic=topic, server=server_name)
        dispatcher = Dispatcher(methods, endpoint, version, f"{topic} at {server_name}")
        return Server(OsloServer(self._serving, target, dispatcher), threads)

    def close(self) -> None:
        """Drop the connections, in bounded time; servers must have been stopped before."""
        for transport in (self._calls, self._serving):
            if not ended(in_background("rpc-close", transport.cleanup), CLOSE_GRACE):
                LOG.warning("the message broker does not answer; its connections are abandoned")

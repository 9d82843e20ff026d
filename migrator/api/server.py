"""The HTTP server: the application behind cheroot's threads, on a unix socket or on loopback."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import cheroot.server
import cheroot.wsgi

from migrator.api.app import Api
from migrator.api.failures import document
from migrator.api.listening import BACKLOG, bind_unix, unlink_own
from migrator.api.settings import ApiSettings, TcpListen, UnixListen, parse_listen
from migrator.errors import Refused

if TYPE_CHECKING:
    from migrator.conductor.rpcapi import ConductorApi

LOG = logging.getLogger(__name__)

SHUTDOWN_S = 5
"""Requests under way when the server stops are waited for so long."""

MAX_HEADER = 64 * 1024
"""Bytes of all headers of a request together."""

LINGER_S = 2.0
"""A client refused in the middle of its body may send on for so long: closed at once, it would meet a
broken connection and never read why."""

MAX_IDLE = 200
"""Connections kept open between requests; each costs a file descriptor and no thread."""


class ApiServer:
    """Serves the API of one conductor.

    :raises Refused: ``config.invalid`` where the settings cannot be used.
    """

    def __init__(self, settings: ApiSettings, conductor: ConductorApi) -> None:
        self._listen = parse_listen(settings.listen)
        self._stop = threading.Event()
        api = Api(settings, conductor, self._stop)
        self._server = _Cheroot(self._listen, api.wsgi(), settings)
        self._thread: threading.Thread | None = None
        self._inode = 0

    @property
    def endpoint(self) -> str:
        """What ``MIGRATOR_ENDPOINT`` must say to reach this server, once it has started."""
        if isinstance(self._listen, UnixListen):
            return f"unix://{self._listen.path}"
        host, port = self._server.bind_addr[:2]
        return f"http://{f'[{host}]' if ':' in host else host}:{port}"

    def start(self) -> None:
        """Listen and serve; returns once connections are accepted.

        :raises Refused: ``config.invalid`` where it is not possible to listen.
        """
        try:
            self._server.prepare()
        except OSError as error:
            raise Refused(
                "config.invalid", f"[api] listen: it is not possible to listen there: {error}"
            ) from error
        if isinstance(self._listen, UnixListen):
            self._inode = os.lstat(self._listen.path).st_ino
        self._thread = threading.Thread(target=self._server.serve, name="api-accept", daemon=True)
        self._thread.start()
        LOG.info("the API listens on %s", self.endpoint)

    def stop(self) -> None:
        """Stop accepting, end all streams, wait for requests under way; any number of times."""
        self._stop.set()
        if self._thread is None:
            return
        self._server.stop()
        self._thread.join()
        self._thread = None
        if isinstance(self._listen, UnixListen):
            unlink_own(self._listen.path, self._inode)


class _Request(cheroot.server.HTTPRequest):
    """Also what never reaches the application is refused with our error document."""

    def read_request_headers(self) -> bool:
        read = bool(super().read_request_headers())  # type: ignore[no-untyped-call]
        if read and self.chunked_read:
            # A body of unknown length could not be refused before it is read.
            self.simple_response(
                "411 Length Required", "the body must come with its Content-Length, not in chunks"
            )
            return False
        return read

    def send_headers(self) -> None:
        # cheroot would wait for the rest of a body that nobody wants, before it answers.
        self.conn.refused_early = getattr(self.rfile, "remaining", 0) > 0
        self.close_connection = self.close_connection or self.conn.refused_early
        super().send_headers()

    def simple_response(self, status: str, msg: str = "") -> None:
        if status.startswith("505"):
            status, msg = "400 Bad Request", "the request is not HTTP/1.0 or HTTP/1.1"
        code = "request.too_large" if status[:3] in {"413", "414"} else "request.invalid"
        body = document(Refused(code, msg or f"the request could not be read: {status[4:]}"))
        self.close_connection = True
        self.conn.refused_early = True
        head = (
            f"{self.server.protocol} {status}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        try:
            self.conn.wfile.write(head.encode("latin-1") + body)
        except OSError as error:
            LOG.debug("a refusal (%s) could not be sent: %s", status, error)


class _Connection(cheroot.server.HTTPConnection):
    RequestHandlerClass = _Request
    refused_early = False

    def close(self) -> None:
        if self.refused_early:
            with contextlib.suppress(OSError):
                self._discard_rest()
        super().close()

    def _discard_rest(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)
        until = time.monotonic() + LINGER_S
        while (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            if not self.socket.recv(65536):
                return


class _Cheroot(cheroot.wsgi.Server):
    """cheroot with our unix socket, our log and our refusals."""

    ConnectionClass = _Connection
    max_request_header_size = MAX_HEADER
    keep_alive_conn_limit = MAX_IDLE
    expiration_interval = 0.1  # the accept loop looks so often, in seconds, whether it should stop

    def __init__(self, listen: UnixListen | TcpListen, app: Any, settings: ApiSettings) -> None:
        address = listen.path if isinstance(listen, UnixListen) else (listen.host, listen.port)
        super().__init__(
            address,
            app,
            numthreads=settings.threads,
            max=settings.threads,
            server_name="migrator",
            request_queue_size=BACKLOG,
            timeout=settings.read_s,  # type: ignore[arg-type]  # goes to settimeout as it is
            shutdown_timeout=SHUTDOWN_S,
        )

    def bind_unix_socket(self, bind_addr: str) -> Any:
        # cheroot's own makes a socket everybody may use, and takes it from a server that is alive.
        self.socket = bind_unix(bind_addr)
        return self.socket

    def error_log(self, msg: str = "", level: int = 20, traceback: bool = False) -> None:
        LOG.log(level, "%s", msg, exc_info=traceback)

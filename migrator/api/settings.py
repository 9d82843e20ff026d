"""What the HTTP server needs to know, and where it may listen."""

from __future__ import annotations

import ipaddress
import urllib.parse
from dataclasses import dataclass

from migrator.errors import Refused

DEFAULT_LISTEN = "unix:///run/migrator/api.sock"

MAX_SOCKET_PATH = 98
"""Bytes. The kernel takes 107; the rest is for the name the socket has until it is ready."""


@dataclass(frozen=True)
class ApiSettings:
    """One API server.

    :param listen: ``unix:///path`` (readable by its owner only) or ``http://127.0.0.1:PORT``; port 0
        lets the kernel choose.
    :param threads: requests answered at the same moment; at most half of them are viewers of events.
    :param watch_s: seconds between two looks at a migration that somebody watches.
    :param keep_alive_s: seconds of silence after which a viewer is sent a comment; a viewer that has
        gone is noticed by it.
    :param read_s: seconds of silence in the middle of a request after which its client is given up.
    """

    listen: str = DEFAULT_LISTEN
    threads: int = 20
    watch_s: float = 0.5
    keep_alive_s: float = 5.0
    read_s: float = 10.0

    def __post_init__(self) -> None:
        if self.threads < 2:
            raise Refused(
                "config.invalid",
                f"[api] threads = {self.threads} is too few: one half is for viewers of events, the "
                "other answers everything else; set at least 2",
            )

    @property
    def viewers(self) -> int:
        """How many may watch events at the same moment; the others poll."""
        return self.threads // 2


@dataclass(frozen=True)
class UnixListen:
    """A socket in the file system."""

    path: str


@dataclass(frozen=True)
class TcpListen:
    """A loopback address."""

    host: str
    port: int


def parse_listen(listen: str) -> UnixListen | TcpListen:
    """The address written as ``unix:///path`` or ``http://127.0.0.1:PORT``.

    :raises Refused: ``config.invalid``, also for an address other machines can reach: nothing on TCP
        asks who is calling.
    """
    try:
        parts = urllib.parse.urlsplit(listen)
        port = parts.port
    except ValueError as error:
        raise _invalid(listen, str(error)) from None
    if parts.scheme == "unix":
        return _unix(listen, parts)
    if parts.scheme == "http":
        return _tcp(listen, parts.hostname or "", port)
    raise _invalid(listen, "it must begin with unix:// or http://")


def _unix(listen: str, parts: urllib.parse.SplitResult) -> UnixListen:
    path = urllib.parse.unquote(parts.path)
    if parts.netloc or not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise _invalid(listen, "a unix socket is written unix:///absolute/path")
    if len(path.encode()) > MAX_SOCKET_PATH:
        raise _invalid(listen, f"the path is longer than {MAX_SOCKET_PATH} bytes")
    return UnixListen(path)


def _tcp(listen: str, host: str, port: int | None) -> TcpListen:
    if port is None:
        raise _invalid(listen, "the port is missing")
    if host == "localhost":
        return TcpListen("127.0.0.1", port)
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise _invalid(listen, f"{host!r} is not an IP address") from None
    if not loopback:
        raise _invalid(
            listen,
            "other machines could reach it and nothing on TCP asks who is calling: listen on "
            f"{DEFAULT_LISTEN} or on 127.0.0.1, and put a proxy with TLS and authentication in front",
        )
    return TcpListen(host, port)


def _invalid(listen: str, why: str) -> Refused:
    return Refused("config.invalid", f"[api] listen = {listen!r} cannot be used: {why}")

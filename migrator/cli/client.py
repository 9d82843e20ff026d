"""The HTTP API as the command line uses it. Nothing here writes to the terminal."""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

from migrator.cli.exits import REFUSED, UNKNOWN, CommandFailed, ConnectionLost

if TYPE_CHECKING:
    import httpx

DEFAULT_ENDPOINT = "unix:///run/migrator/api.sock"

CONNECT_S = 5.0
ANSWER_S = 30.0
"""The service gives itself 15 s to answer a read."""
VERDICT_S = 60.0
"""A migration is answered with the verdict, for which the service gives itself 40 s."""
VERIFY_S = 120.0
"""Every host is asked; the service gives itself 100 s."""
BREATH_S = 1.0
"""Before a lost answer is asked for again."""
SILENCE_S = 20.0
"""A stream that says nothing for four of its keep-alives is broken."""

_ASK_AGAIN = frozenset({"rpc.timeout", "rpc.unreachable"})
"""The API answered, but could not say what became of the request."""


def endpoint_from_environment() -> str:
    """``MIGRATOR_ENDPOINT``, or where a service on this machine listens by default."""
    return os.environ.get("MIGRATOR_ENDPOINT") or DEFAULT_ENDPOINT


class Client:
    """One service.

    :param endpoint: ``unix:///path`` or ``http://127.0.0.1:PORT``.
    :raises CommandFailed: for an endpoint of another form.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self._httpx = _import_httpx()
        self._http = self._open(endpoint)

    def close(self) -> None:
        self._http.close()

    def get(self, *path: str, **query: Any) -> dict[str, Any]:
        """Read something; query values that are None or False are left out."""
        wanted = {
            key: value for key, value in query.items() if value is not None and value is not False
        }
        return self._request("GET", path, params=_texts(wanted))

    def patch(self, *path: str, **changes: Any) -> dict[str, Any]:
        """Change something."""
        return self._request("PATCH", path, json=changes)

    def last_word(self, migration: str, word: str) -> dict[str, Any]:
        """``confirm`` or ``revert`` a cold move."""
        return self._request("POST", ("v1", "migrations", migration, word))

    def post(self, *path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make something."""
        return self._request("POST", path, json=dict(body))

    def delete(self, *path: str) -> None:
        """Remove something."""
        self._request("DELETE", path)

    def abort(self, migration: str) -> dict[str, Any]:
        """Ask for an abort."""
        return self._request("POST", ("v1", "migrations", migration, "abort"))

    def steer(self, migration: str, verb: str, **body: Any) -> dict[str, Any]:
        """``force-complete``, ``tune`` or ``rescue``; values that are None are left out."""
        wanted = {key: value for key, value in body.items() if value is not None}
        how = {"json": wanted} if wanted else {}
        return self._request("POST", ("v1", "migrations", migration, verb), **how)

    def dry_run(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What a migration would do."""
        return self._request(
            "POST", ("v1", "migrations", "dry-run"), json=body, timeout=self._timeout(VERDICT_S)
        )

    def verify(self, repair: bool) -> dict[str, Any]:
        """Whether the rules hold everywhere; with ``repair`` what may be mended is."""
        timeout = self._timeout(VERIFY_S)
        return self._request("POST", ("v1", "verify"), json={"repair": repair}, timeout=timeout)

    def migrate(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask for a migration; a lost answer is asked for once more, under the same request id.

        :param body: with a ``request_id``, see :func:`fresh_request_id`.
        """
        try:
            return self._migrate(body)
        except CommandFailed as error:
            if not isinstance(error, ConnectionLost) and error.code not in _ASK_AGAIN:
                raise
        time.sleep(BREATH_S)
        try:
            return self._migrate(body)
        except CommandFailed as error:
            if error.status != UNKNOWN:
                raise
            # Even if nothing answers now: the first request may have been carried out.
            raise ConnectionLost(error.code, error.message, UNKNOWN, error.details) from error

    def _migrate(self, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._request(
            "POST", ("v1", "migrations"), json=body, timeout=self._timeout(VERDICT_S)
        )

    def stream(self, migration: str, after: int) -> Iterator[tuple[str, dict[str, Any]]]:
        """(kind, data) of the migration's events as they happen, until ``end`` or ``error``.

        :param after: number of the last event already seen.
        :raises ConnectionLost: when it ends before the migration does.
        """
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
        url = _url(("v1", "migrations", migration, "events"))
        timeout = self._timeout(SILENCE_S)
        try:
            with self._http.stream("GET", url, headers=headers, timeout=timeout) as response:
                if response.is_error:
                    response.read()
                    raise self._failure(response)
                yield from _parse_events(response.iter_lines())
        except self._httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _request(self, method: str, path: tuple[str, ...], **how: Any) -> dict[str, Any]:
        try:
            response = self._http.request(method, _url(path), **how)
        except self._httpx.TransportError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise self._failure(response)
        return self._document(response)

    def _document(self, response: httpx.Response) -> dict[str, Any]:
        try:
            document = response.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise CommandFailed(
                "api.unreachable",
                f"what answers at {self.endpoint} is not migrator (HTTP {response.status_code}); "
                "MIGRATOR_ENDPOINT must name its API",
                UNKNOWN,
            )
        return document

    def _failure(self, response: httpx.Response) -> CommandFailed:
        error = self._document(response).get("error") or {}
        return CommandFailed(
            str(error.get("code", "internal")),
            str(error.get("message", f"HTTP {response.status_code} without a reason")),
            UNKNOWN if response.status_code >= 500 else REFUSED,
            error.get("details") or {},
        )

    def _unreachable(self, error: Exception) -> CommandFailed:
        if isinstance(error, self._httpx.ConnectError | self._httpx.ConnectTimeout):
            return CommandFailed("api.unreachable", self._why_not(error), UNKNOWN)
        why = str(error) or type(error).__name__
        return ConnectionLost(
            "api.unreachable", f"the connection to {self.endpoint} was lost ({why})", UNKNOWN
        )

    def _why_not(self, error: Exception) -> str:
        if "Errno 13" in str(error):
            return f"{self.endpoint} is not yours to use; root may, or whoever the service runs as"
        return (
            f"no service answers at {self.endpoint}: start migrator-api or migrator-standalone, or set "
            "MIGRATOR_ENDPOINT to where one listens"
        )

    def _timeout(self, read: float) -> httpx.Timeout:
        return self._httpx.Timeout(read, connect=CONNECT_S)  # type: ignore[no-any-return]

    def _open(self, endpoint: str) -> httpx.Client:
        socket_path, base = parse_endpoint(endpoint)
        # Neither proxies nor certificates are for us: the service is on this machine.
        transport = self._httpx.HTTPTransport(uds=socket_path, verify=False, trust_env=False)
        return self._httpx.Client(  # type: ignore[no-any-return]
            transport=transport,
            base_url=base,
            timeout=self._timeout(ANSWER_S),
            trust_env=False,
        )


def fresh_request_id() -> str:
    """An id for one request; the same id never starts two migrations."""
    return str(uuid.uuid4())


def parse_endpoint(endpoint: str) -> tuple[str | None, str]:
    """(path of the unix socket or None, base URL). :raises CommandFailed: ``config.invalid``"""
    parts = urlsplit(endpoint)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/"):
        return unquote(parts.path), "http://migrator"
    if parts.scheme == "http" and parts.hostname and port:
        return None, f"http://{parts.netloc}"
    raise CommandFailed(
        "config.invalid",
        f"MIGRATOR_ENDPOINT is {endpoint!r}; it must be unix:///PATH or http://127.0.0.1:PORT",
        REFUSED,
    )


def _url(path: tuple[str, ...]) -> str:
    return "/" + "/".join(quote(part, safe="") for part in path)


def _texts(query: Mapping[str, Any]) -> dict[str, str]:
    return {key: "true" if value is True else str(value) for key, value in query.items()}


def _parse_events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    kind, data = "", ""
    for line in lines:
        name, _, value = line.partition(":")
        if name == "event":
            kind = value.strip()
        elif name == "data":
            data = value.strip()
        elif not line and kind:
            yield kind, json.loads(data)
            if kind in ("end", "error"):
                return
            kind = ""
    raise ConnectionLost("api.unreachable", "the stream of events ended early", UNKNOWN)


def _import_httpx() -> ModuleType:
    """httpx without its own command line, which would import click and rich: a third of our start."""
    name = "httpx._main"
    if "httpx" not in sys.modules:
        sys.modules[name] = None  # type: ignore[assignment]
        try:
            import httpx
        finally:
            del sys.modules[name]
        return httpx
    return sys.modules["httpx"]

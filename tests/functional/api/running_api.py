"""A real API server on a unix socket in front of the conductor in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from migrator.api.server import ApiServer
from tests.fakes.conductor import FakeConductor


class HandClock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class RunningApi:
    """What a test of the API holds in its hands."""

    conductor: FakeConductor
    clock: HandClock
    server: ApiServer
    socket: str
    http: httpx.Client

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.http.post(path, json=body)

    def migrate(self, **body: Any) -> dict[str, Any]:
        answer = self.post("/v1/migrations", **{"instance": "g1", **body})
        assert answer.status_code == 202, answer.text
        return dict(answer.json())


def open_http(socket: str) -> httpx.Client:
    return httpx.Client(
        transport=httpx.HTTPTransport(uds=socket), base_url="http://migrator", timeout=20
    )


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error of an answer; every error has the one form."""
    document = answer.json()
    assert set(document) == {"error"}
    assert set(document["error"]) == {"code", "message", "details"}
    assert document["error"]["message"]
    return dict(document["error"])


def read_events(response: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    """(kind, data) of a stream of events; comments as ("comment", {})."""
    kind = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield kind, json.loads(line.removeprefix("data: "))
        elif line.startswith(":"):
            yield "comment", {}

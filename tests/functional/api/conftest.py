"""A server for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.api.server import ApiServer
from migrator.api.settings import ApiSettings
from tests.fakes.conductor import FakeConductor
from tests.functional.api.running_api import HandClock, RunningApi, open_http


@pytest.fixture
def api(tmp_path: Path) -> Iterator[RunningApi]:
    clock = HandClock()
    conductor = FakeConductor(clock)
    socket = str(tmp_path / "api.sock")
    settings = ApiSettings(f"unix://{socket}", threads=8, watch_s=0.02, keep_alive_s=0.1)
    server = ApiServer(settings, conductor)
    server.start()
    try:
        with open_http(socket) as http:
            yield RunningApi(conductor, clock, server, socket, http)
    finally:
        server.stop()

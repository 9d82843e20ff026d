"""A server and a terminal for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.api.server import ApiServer
from migrator.api.settings import ApiSettings
from tests.fakes.conductor import FakeConductor
from tests.functional.cli.terminal import Terminal, fast_clock


@pytest.fixture
def terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Terminal]:
    conductor = FakeConductor(fast_clock)
    settings = ApiSettings(f"unix://{tmp_path}/api.sock", threads=4, watch_s=0.01)
    server = ApiServer(settings, conductor)
    server.start()
    monkeypatch.setenv("MIGRATOR_ENDPOINT", server.endpoint)
    monkeypatch.setenv("TZ", "UTC")
    try:
        yield Terminal(conductor, server, capsys)
    finally:
        server.stop()

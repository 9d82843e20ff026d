"""A server for each test."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.api.server import ApiServer
from migrator.api.settings import ApiSettings
from tests.fakes.conductor import FakeConductor
from tests.functional.api.running_api import HandClock, RunningApi, open_http


@pytest.fixture
def api(tmp_path: Path) -> Iterator[RunningApi]:
    with running(tmp_path, ApiSettings(watch_s=0.02, keep_alive_s=0.1, threads=8)) as started:
        yield started


@pytest.fixture
def impatient_api(tmp_path: Path) -> Iterator[RunningApi]:
    """It gives a silent client up after 0.2 s."""
    with running(tmp_path, ApiSettings(threads=8, read_s=0.2)) as started:
        yield started


@contextlib.contextmanager
def running(tmp_path: Path, settings: ApiSettings) -> Iterator[RunningApi]:
    """An API over a fake conductor, on a socket of its own."""
    clock = HandClock()
    conductor = FakeConductor(clock)
    socket = str(tmp_path / "api.sock")
    server = ApiServer(dataclasses.replace(settings, listen=f"unix://{socket}"), conductor)
    server.start()
    try:
        with open_http(socket) as http:
            yield RunningApi(conductor, clock, server, socket, http)
    finally:
        server.stop()

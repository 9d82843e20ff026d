"""An operator at a terminal: runs commands against a server in front of the conductor in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import pytest

from migrator.api.server import ApiServer
from migrator.cli.main import main
from tests.fakes.conductor import FakeConductor

SPEED = 20.0
"""Seconds of a migration that pass in one of ours."""


def fast_clock() -> float:
    return time.monotonic() * SPEED


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """stdout, which must be exactly one JSON document."""
        return json.loads(self.out)


@dataclass
class Terminal:
    """Where commands are typed."""

    conductor: FakeConductor
    server: ApiServer
    capture: pytest.CaptureFixture[str]

    def run(self, *argv: str) -> Ran:
        """In this process."""
        self.capture.readouterr()
        code = main(argv)
        seen = self.capture.readouterr()
        return Ran(code, seen.out, seen.err)

    def start(self, *argv: str, **how: Any) -> subprocess.Popen[str]:
        """In a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "migrator.cli.main", *argv],
            text=True,
            env={**os.environ, "MIGRATOR_ENDPOINT": self.server.endpoint},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how},
        )

    def migrate(self, *argv: str) -> dict[str, Any]:
        """A migration that has been accepted."""
        ran = self.run("migrate", "g1", "-f", "json", *argv)
        assert ran.code == 0, ran.err
        return dict(ran.document)

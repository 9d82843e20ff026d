"""The nested lab as a benchmark uses it: hosts, guests, a bare virsh migration beside ours."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NAME = "-".join(filter(None, (os.environ.get("MIGRATOR_LAB", ""), "bench")))
PATIENCE_S = 60.0


@dataclass(frozen=True)
class LabHost:
    """A nested host."""

    name: str
    libvirt_uri: str
    peer_uri: str
    address: str
    migration_address: str


@dataclass(frozen=True)
class Moved:
    """One bare migration: wall time in seconds, libvirt's downtime in ms."""

    wall_s: float
    downtime_ms: int


class Lab:
    """Up on entry, down on exit; an operator's own lab is not touched."""

    def __init__(self, hosts: int, services: bool = True) -> None:
        self._count = hosts
        self._services = services
        self.hosts: list[LabHost] = []
        self.endpoint = ""

    def __enter__(self) -> Lab:
        up = ["up", "--hosts", str(self._count)]
        self.tool(*up, *([] if self._services else ["--no-services"]))
        try:
            self.hosts = [
                LabHost(
                    host["name"],
                    host["libvirt_uri"],
                    host["peer_uri"],
                    host["address"],
                    host["migration_address"],
                )
                for host in json.loads(self.tool("hosts", "-f", "json"))
            ]
            exports = self.tool("env")
            found = re.search(r"MIGRATOR_ENDPOINT=(\S+)", exports)
            self.endpoint = found.group(1).strip("'\"") if found else ""
        except BaseException:
            self.tool("down")
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.tool("down")

    def tool(self, *words: str) -> str:
        """Run tools/lab; what it printed."""
        env = {**os.environ, "MIGRATOR_LAB": NAME}
        done = subprocess.run(
            [str(ROOT / "tools/lab"), *words], env=env, stdout=subprocess.PIPE, text=True
        )
        if done.returncode != 0:
            raise SystemExit(f"tools/lab {' '.join(words)} failed")
        return done.stdout

    def guest(self, name: str, host: LabHost, *words: str) -> None:
        """A running guest that beats."""
        self.tool("guest", name, "--host", host.name, *words)

    def virsh_migrate(self, guest: str, source: LabHost, destination: LabHost) -> Moved:
        """What an operator would type."""
        words = ["migrate", "--live", "--p2p", "--persistent", "--undefinesource", guest]
        where = [destination.peer_uri, "--migrateuri", f"tcp://{destination.migration_address}"]
        started = time.monotonic()
        virsh(source, *words, *where)
        wall = time.monotonic() - started
        told = virsh(destination, "domjobinfo", "--completed", guest)
        downtime = re.search(r"Total downtime:\s+(\d+)", told)
        return Moved(wall, int(downtime.group(1)) if downtime else 0)


def virsh(host: LabHost, *words: str) -> str:
    """Run virsh on a host's own socket."""
    command = ["virsh", "-c", host.libvirt_uri, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def until(so: Any, what: str) -> None:
    """Look until it is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not so():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {PATIENCE_S:.0f} s for {what}")
        time.sleep(0.05)

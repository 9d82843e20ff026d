"""What an idle standalone service costs: CPU and resident memory, three agents on real libvirt."""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.lab import NAME, Lab
from benchmarks.report import Row

SETTLE_S = 15.0
"""After the start: the first inventories are over."""
WATCH_S = 60.0
HOSTS = 3


def measure_idle() -> list[Row]:
    """Watch the service's own process."""
    with Lab(hosts=HOSTS):
        pid = standalone_pid()
        time.sleep(SETTLE_S)
        before, started = cpu_seconds(pid), time.monotonic()
        time.sleep(WATCH_S)
        share = (cpu_seconds(pid) - before) / (time.monotonic() - started) * 100
        resident = resident_mib(pid)
    return [
        Row("idle standalone, 3 agents: CPU", f"{share:.2f} % of a core", "<= 2 %", share <= 2),
        Row("idle standalone: resident", f"{resident:.0f} MiB", "<= 150 MiB", resident <= 150),
    ]


def standalone_pid() -> int:
    """The service of this benchmark's lab, by its command line."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        line = b" ".join(words).decode(errors="replace")
        if "migrator-standalone" in line and f"migrator-lab-{NAME}" in line:
            return int(entry.name)
    raise SystemExit("no standalone service of this lab is running")


def cpu_seconds(pid: int) -> float:
    """User and system time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"/proc/{pid}/status has no VmRSS")

"""A cold copy beside its rivals: time, bytes on the wire, and what the copy occupies.

    python -m benchmarks.cold_stream [--rounds 3]

A 4 GiB sparse volume that holds 512 MiB goes from one nested host to the other, in turn by migrator's
streams (copied, digested at both ends, compared), by ``rsync -S`` to an rsync daemon, and by ``qemu-img
convert`` into an NBD export, which proves nothing and is the limit to approach. Needs root and what
``tools/setup lab`` installs; installs rsync with apt-get when it is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.lab import ROOT, Lab, until
from benchmarks.report import Row, print_rows

MIB = 1024 * 1024
SIZE_MIB = 4096
STRETCHES = 512
"""Of 1 MiB of data, each followed by 7 MiB of hole."""
SOURCE, COPY = "bench-source", "bench-copy"
RSYNC_PORT, NBD_PORT = 8730, 10809


@dataclass(frozen=True)
class Place:
    """A nested host, as this benchmark uses it."""

    netns: str
    device: str
    address: str
    libvirt_uri: str
    peer_uri: str
    pool: Path

    def run(self, *words: str) -> None:
        """Run in the host's network."""
        subprocess.run(self.words(*words), check=True, cwd=ROOT, stdout=subprocess.DEVNULL)

    def words(self, *words: str) -> list[str]:
        return ["ip", "netns", "exec", self.netns, *words]

    def sent(self) -> int:
        """Bytes that have left it."""
        counter = f"/sys/class/net/{self.device}/statistics/tx_bytes"
        told = subprocess.run(self.words("cat", counter), check=True, capture_output=True)
        return int(told.stdout)


@dataclass(frozen=True)
class Took:
    """One copy."""

    wall_s: float
    sent: int
    allocated: int


def place(host: dict[str, Any]) -> Place:
    return Place(
        host["netns"],
        host["control_dev"],
        host["address"],
        host["libvirt_uri"],
        host["peer_uri"],
        Path(host["pools"]["local"]),
    )


def measure(rounds: int) -> list[Row]:
    if shutil.which("rsync") is None:
        apt = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "rsync"]
        subprocess.run(apt, check=True, stdout=subprocess.DEVNULL)
    with Lab(hosts=2, services=False) as lab:
        here, there = map(place, json.loads(lab.tool("hosts", "-f", "json")))
        fill(here.pool / SOURCE)
        streams = Ours(here, there)
        ways: dict[str, Callable[[Place, Place], None]] = {
            "rsync": rsync,
            "ours": streams.copy,
            "nbd": convert,
        }
        took: dict[str, list[Took]] = {name: [] for name in ways}
        try:
            for _ in range(rounds):
                for name, way in ways.items():
                    took[name].append(timed(here, there, way))
        finally:
            streams.stop()
        held = allocated(here.pool / SOURCE)
    return rows(took, held)


def timed(here: Place, there: Place, way: Callable[[Place, Place], None]) -> Took:
    """From an empty volume until the copy is there; then compared, outside the time."""
    target = there.pool / COPY
    target.unlink(missing_ok=True)
    with target.open("wb") as file:
        file.truncate(SIZE_MIB * MIB)
    with serving(there):
        before, started = here.sent(), time.monotonic()
        way(here, there)
        wall = time.monotonic() - started
        sent = here.sent() - before
    subprocess.run(["cmp", here.pool / SOURCE, target], check=True)
    return Took(wall, sent, allocated(target))


class Ours:
    """The adapter of both agents, up before it is asked, as agents are."""

    def __init__(self, here: Place, there: Place) -> None:
        words = [here.libvirt_uri, there.peer_uri, there.libvirt_uri, SOURCE, COPY]
        self._process = subprocess.Popen(
            here.words(sys.executable, "-m", "benchmarks.cold_copy", *words),
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._expect("ready")

    def copy(self, here: Place, there: Place) -> None:
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)
        self._expect("copied")

    def stop(self) -> None:
        self._process.communicate()

    def _expect(self, word: str) -> None:
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != word:
            raise SystemExit("the copy failed")


def rsync(here: Place, there: Place) -> None:
    source = str(here.pool / SOURCE)
    # Into nothing: rsync neither skips it for its size and date nor reads what it replaces.
    (there.pool / COPY).unlink()
    here.run("rsync", "-S", source, f"rsync://{there.address}:{RSYNC_PORT}/pool/{COPY}")


def convert(here: Place, there: Place) -> None:
    target = f"nbd://{there.address}:{NBD_PORT}"
    options = ["-n", "--target-is-zero", "-W", "-m", "8", "-f", "raw", "-O", "raw"]
    here.run("qemu-img", "convert", *options, str(here.pool / SOURCE), target)


@contextmanager
def serving(there: Place) -> Iterator[None]:
    """The rivals' daemons; idle while they are not used."""
    configuration = there.pool / ".rsyncd.conf"
    configuration.write_text(
        f"use chroot = no\nuid = root\ngid = root\n[pool]\npath = {there.pool}\nread only = no\n"
    )
    rsyncd = ["rsync", "--daemon", "--no-detach", f"--port={RSYNC_PORT}"]
    nbd = ["qemu-nbd", "-t", "-f", "raw", "-e", "8", "-p", str(NBD_PORT), "--discard=unmap"]
    daemons = [
        subprocess.Popen(there.words(*rsyncd, f"--config={configuration}")),
        subprocess.Popen(there.words(*nbd, str(there.pool / COPY))),
    ]
    try:
        until(lambda: all(listens(there, port) for port in (RSYNC_PORT, NBD_PORT)), "the daemons")
        yield
    finally:
        for daemon in daemons:
            daemon.terminate()
            daemon.wait()
        configuration.unlink()


def listens(there: Place, port: int) -> bool:
    told = subprocess.run(there.words("ss", "-ltnH"), check=True, capture_output=True, text=True)
    return f":{port} " in told.stdout


def fill(path: Path) -> None:
    """Random data in even stretches, holes between."""
    with path.open("wb") as file:
        file.truncate(SIZE_MIB * MIB)
        for number in range(STRETCHES):
            file.seek(number * SIZE_MIB // STRETCHES * MIB)
            file.write(os.urandom(MIB))


def allocated(path: Path) -> int:
    return path.stat().st_blocks * 512


def rows(took: dict[str, list[Took]], held: int) -> list[Row]:
    wall = {name: statistics.median(each.wall_s for each in all_) for name, all_ in took.items()}
    sent = {
        name: statistics.median(each.sent for each in all_) / MIB for name, all_ in took.items()
    }
    faster = wall["rsync"] / wall["ours"]
    grown = max(abs(each.allocated - held) / held for each in took["ours"])
    return [
        Row(
            "rsync -S: wall time, bytes sent",
            f"{wall['rsync']:.2f} s, {sent['rsync']:.0f} MiB",
            "",
            None,
        ),
        Row(
            "ours, both ends digested",
            f"{wall['ours']:.2f} s = {faster:.1f} x as fast, {sent['ours']:.0f} MiB",
            ">= 2 x as fast",
            faster >= 2,
        ),
        Row("qemu-img to NBD, unproven", f"{wall['nbd']:.2f} s, {sent['nbd']:.0f} MiB", "", None),
        Row(
            "allocated beside the source's",
            f"{grown:.2%} of {held / MIB:.0f} MiB",
            "<= 1 %",
            grown <= 0.01,
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3, help="copies by each way (3)")
    return print_rows(measure(parser.parse_args().rounds))


if __name__ == "__main__":
    raise SystemExit(main())

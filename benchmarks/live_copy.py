"""A live copy of a sparse disk: ours beside `virsh migrate --copy-storage-all`, in one run.

    python -m benchmarks.live_copy [--rounds 3]

Needs root and what `tools/setup lab` installs, and 6 GiB of room for the lab. One idle guest has a raw
volume of 4 GiB that holds 512 MiB; it moves back and forth, by virsh into a volume made beforehand and
by migrator, turn about. Where the copy ends sparser or fuller than its source is told for both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.lab import Lab, LabHost, until, virsh
from benchmarks.overhead import GUEST, moment, open_client, owner
from benchmarks.report import Row, print_rows

MIB = 1024 * 1024
SIZE_MIB = 4096
HELD_MIB = 512
VOLUME = f"{GUEST}-vda"
GRACE_S = 2.0
"""[storage] delete_grace_s, the default: waited out on purpose, so no part of the copy's time."""
WITHIN = 1.10
SPARSE = 0.01


@dataclass(frozen=True)
class Copied:
    """One move with its disk; seconds, and bytes the volume took before and after."""

    switched_s: float | None
    wall_s: float
    before: int
    after: int

    @property
    def grown(self) -> float:
        return abs(self.after - self.before) / self.before


class Disks:
    """The lab's local pools as directories of this machine."""

    def __init__(self, lab: Lab) -> None:
        told = json.loads(lab.tool("hosts", "-f", "json"))
        self._pools = {host["name"]: Path(host["pools"]["local"]) for host in told}

    def volume(self, host: LabHost) -> Path:
        return self._pools[host.name] / VOLUME

    def taken(self, host: LabHost) -> int:
        """Bytes, once they are on disk."""
        with self.volume(host).open("rb") as file:
            os.fsync(file.fileno())
        return self.volume(host).stat().st_blocks * 512

    def fill(self, host: LabHost) -> None:
        """Bytes no zero detection can drop, in the middle of nothing."""
        with self.volume(host).open("r+b") as file:
            file.seek(1024 * MIB)
            for _ in range(HELD_MIB):
                file.write(os.urandom(MIB))
            os.fsync(file.fileno())


def by_virsh(disks: Disks, here: LabHost, there: LabHost) -> Copied:
    """What an operator would type: make the volume, migrate, delete the old one."""
    before = disks.taken(here)
    virsh(there, "vol-create-as", "local", VOLUME, f"{SIZE_MIB}M", "--allocation", "0")
    words = ["migrate", "--live", "--p2p", "--persistent", "--undefinesource", GUEST]
    where = [there.peer_uri, "--migrateuri", f"tcp://{there.migration_address}"]
    copy = ["--copy-storage-all", "--migrate-disks", "vda"]
    address = ["--disks-uri", f"tcp://{there.migration_address}"]
    started = time.monotonic()
    virsh(here, *words, *where, *copy, *address)
    wall = time.monotonic() - started
    virsh(here, "vol-delete", VOLUME, "--pool", "local")
    return Copied(None, wall, before, disks.taken(there))


def by_us(client: httpx.Client, disks: Disks, here: LabHost, there: LabHost) -> Copied:
    """The whole of it, less the grace before the old volume is deleted."""
    before = disks.taken(here)
    answer = client.post("/v1/migrations", json={"instance": GUEST, "host": there.name})
    if answer.is_error:
        raise SystemExit(f"refused: {answer.text}")
    path = f"/v1/migrations/{answer.json()['id']}"
    until(lambda: client.get(path).json()["finished_at"] is not None, "the migration to end")
    ended = client.get(path).json()
    if ended["state"] != "completed":
        raise SystemExit(f"the migration ended {ended['state']}: {ended['error']}")
    accepted = moment(ended["created_at"])
    return Copied(
        moment(ended["switched_at"]) - accepted,
        moment(ended["finished_at"]) - accepted - GRACE_S,
        before,
        disks.taken(there),
    )


def measure(rounds: int) -> list[Row]:
    """Interleaved pairs."""
    with Lab(hosts=2) as lab:
        client = open_client(lab.endpoint)
        here, there = lab.hosts
        lab.guest(GUEST, here, "--memory", "128", "--disk", f"local:{SIZE_MIB}:raw")
        disks = Disks(lab)
        disks.fill(here)
        bare: list[Copied] = []
        ours: list[Copied] = []
        for number in range(rounds):
            for kind in ("bare", "ours") if number % 2 else ("ours", "bare"):
                if kind == "bare":
                    bare.append(by_virsh(disks, here, there))
                    until(lambda: owner(client) == there.name, f"{there.name} to own {GUEST}")  # noqa: B023
                else:
                    ours.append(by_us(client, disks, here, there))
                here, there = there, here
        return compare(bare, ours)


def compare(bare: list[Copied], ours: list[Copied]) -> list[Row]:
    """The rows of the promise."""
    wall = statistics.median(each.wall_s for each in bare)
    switched = statistics.median(each.switched_s or 0.0 for each in ours)
    whole = statistics.median(each.wall_s for each in ours)
    grown = max(each.grown for each in ours)
    return [
        Row("virsh --copy-storage-all: wall time, median", f"{wall:.2f} s", "", None),
        Row("ours: accepted until switched", f"{switched:.2f} s", "", None),
        Row(
            "ours: accepted until completed, less the grace / virsh",
            f"{whole:.2f} s = {whole / wall:.2f}",
            f"<= {WITHIN:.2f}",
            whole / wall <= WITHIN,
        ),
        Row("virsh: the copy's size differs by, worst", _percent(bare), "", None),
        Row(
            "ours: the copy's size differs by, worst",
            _percent(ours),
            f"<= {SPARSE:.0%}",
            grown <= SPARSE,
        ),
    ]


def _percent(copies: list[Copied]) -> str:
    worst = max(copies, key=lambda each: each.grown)
    return f"{worst.grown:.2%} ({worst.before // MIB} -> {worst.after // MIB} MiB)"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of migrations (3)")
    return print_rows(measure(parser.parse_args().rounds))


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{error}: {error.stderr}") from error

"""What migrator adds to a bare migration: time, downtime, calls, statements; and what it costs idle.

    python -m benchmarks.overhead [--rounds 20] [--only transfers|counts|idle|api]

Needs root and what `tools/setup lab` installs. Both kinds of migration move the same idle guest, turn
about within one run, so that a noisy machine disturbs both.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import httpx

from benchmarks.api_load import measure_api
from benchmarks.counts import measure_counts
from benchmarks.idle import measure_idle
from benchmarks.lab import Lab, LabHost, Moved, until
from benchmarks.report import Row, print_rows

GUEST = "bench1"
MEMORY_MIB = "256"


@dataclass(frozen=True)
class Ours:
    """One migration by migrator, from its own record; seconds and ms."""

    switched_s: float
    completed_s: float
    downtime_ms: int


def measure_transfers(rounds: int) -> list[Row]:
    """Interleaved pairs of the same idle guest."""
    with Lab(hosts=2) as lab:
        client = open_client(lab.endpoint)
        here, there = lab.hosts
        lab.guest(GUEST, here, "--memory", MEMORY_MIB)
        bare: list[Moved] = []
        ours: list[Ours] = []
        for number in range(rounds):
            for kind in ("bare", "ours") if number % 2 else ("ours", "bare"):
                if kind == "bare":
                    bare.append(lab.virsh_migrate(GUEST, here, there))
                    until(lambda: owner(client) == there.name, f"{there.name} to own {GUEST}")  # noqa: B023
                else:
                    ours.append(migrate(client, there))
                here, there = there, here
        return compare(bare, ours)


def migrate(client: httpx.Client, destination: LabHost) -> Ours:
    """Ask for it and wait for its record to end."""
    answer = client.post("/v1/migrations", json={"instance": GUEST, "host": destination.name})
    answer.raise_for_status()
    path = f"/v1/migrations/{answer.json()['id']}"
    until(lambda: client.get(path).json()["finished_at"] is not None, "the migration to end")
    ended = client.get(path).json()
    if ended["state"] != "completed":
        raise SystemExit(f"the migration ended {ended['state']}: {ended['error']}")
    accepted = moment(ended["created_at"])
    return Ours(
        moment(ended["switched_at"]) - accepted,
        moment(ended["finished_at"]) - accepted,
        ended["downtime_ms"],
    )


def compare(bare: Sequence[Moved], ours: Sequence[Ours]) -> list[Row]:
    """The rows of the promise."""
    wall = statistics.median(each.wall_s for each in bare)
    switched = statistics.median(each.switched_s for each in ours)
    completed = statistics.median(each.completed_s for each in ours)
    own = sorted(us.completed_s - them.wall_s for us, them in zip(ours, bare, strict=True))
    down_bare = statistics.median(each.downtime_ms for each in bare)
    down_ours = statistics.median(each.downtime_ms for each in ours)
    allowed = max(down_bare * 1.15, down_bare + 25)
    p95 = own[min(round(0.95 * len(own)), len(own) - 1)]
    return [
        Row("virsh: wall time, median", f"{wall:.2f} s", "", None),
        Row(
            "accepted until switched / virsh",
            f"{switched:.2f} s = {switched / wall:.2f}",
            "<= 0.80, aim 0.60",
            switched / wall <= 0.8,
        ),
        Row(
            "accepted until completed - virsh",
            f"{completed:.2f} s = {completed - wall:+.2f} s",
            "<= +0.50 s",
            completed - wall <= 0.5,
        ),
        Row(
            "own overhead per pair, median",
            f"{statistics.median(own):+.2f} s",
            "<= 0.50 s",
            statistics.median(own) <= 0.5,
        ),
        Row("own overhead per pair, p95", f"{p95:+.2f} s", "<= 1.00 s", p95 <= 1.0),
        Row(
            "downtime, median: ours beside virsh's",
            f"{down_ours:.0f} ms beside {down_bare:.0f} ms",
            f"<= {allowed:.0f} ms",
            down_ours <= allowed,
        ),
    ]


def open_client(endpoint: str) -> httpx.Client:
    """The HTTP API on its unix socket."""
    transport = httpx.HTTPTransport(uds=endpoint.removeprefix("unix://"))
    return httpx.Client(transport=transport, base_url="http://migrator", timeout=60.0)


def owner(client: httpx.Client) -> str | None:
    """Where migrator says the guest is."""
    host: str | None = client.get(f"/v1/instances/{GUEST}").json().get("host")
    return host


def moment(text: str) -> float:
    """A time of the API as seconds."""
    return datetime.fromisoformat(text).timestamp()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=20, help="pairs of migrations (20)")
    parser.add_argument("--only", choices=["transfers", "counts", "idle", "api"])
    asked = parser.parse_args()
    parts: dict[str, Callable[[], list[Row]]] = {
        "transfers": lambda: measure_transfers(asked.rounds),
        "counts": measure_counts,
        "idle": measure_idle,
        "api": measure_api,
    }
    rows: list[Row] = []
    for name, measure in parts.items():
        if asked.only in (None, name):
            started = time.monotonic()
            rows += measure()
            print(f"({name}: {time.monotonic() - started:.0f} s)", flush=True)
    return print_rows(rows)


if __name__ == "__main__":
    raise SystemExit(main())

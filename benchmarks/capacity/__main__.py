"""How much one conductor carries: many migrations held at once, and whole migrations per second.

    python -m benchmarks.capacity hold [--migrations 1000] [--seconds 600]
    python -m benchmarks.capacity throughput [--migrations 200]
    ... [--over sqlite+inproc postgresql+rabbit ...]

Real conductor, real agents, fake hosts. Over RabbitMQ the conductor is the program itself in a process
of its own, agents and hosts are in two others, and the figures are the conductor's alone; in process
(``inproc``) all of it is one process, as in a standalone installation, and measured as a whole.
Broker and databases are started for it; it needs what `tools/setup broker` installs.

Those that are held are asked for one by one, at 2.5 per second, and end as they began: what a machine
takes when it is given all it can bear is the other measurement.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import datetime

from benchmarks.capacity import servers
from benchmarks.capacity.bench import Bench
from benchmarks.capacity.conductors import Heard, Meter
from benchmarks.capacity.fleets import Told
from benchmarks.capacity.wires import Wires
from benchmarks.report import Row, print_rows

PACE_S = 0.4
"""Between two that are asked for."""
ASKING_S = 0.5
"""For each migration to be asked for and begun, on a busy machine: all copy for longer than that."""
OVER = {
    "hold": ("sqlite+inproc", "postgresql+rabbit"),
    "throughput": ("sqlite+inproc", "postgresql+inproc", "sqlite+rabbit", "postgresql+rabbit"),
}
DUE_S = 10.0
"""After so long a progress event that has not been heard counts as lost."""
ENOUGH = (1000, 600.0)
"""Migrations and seconds for which something is promised."""


def p99(values: Sequence[float]) -> float:
    """Not a number where there are none."""
    return sorted(values)[int(0.99 * (len(values) - 1))] if values else float("nan")


def hold(bench: Bench, seconds: float) -> Sequence[Row]:
    """All of them run at once for a while, then all of them end."""
    bench.ask(PACE_S)
    bench.until(lambda: bench.states().get("running", 0) == bench.guests, "all of them run")
    meter, load = Meter(bench.conductor.pid), os.getloadavg()[0]
    began = time.monotonic()
    time.sleep(seconds)
    held = began, time.monotonic()
    cores, resident = meter.cores(), meter.resident_mib()
    load = (load + os.getloadavg()[0]) / 2
    lost = bench.guests - bench.states().get("running", 0)
    bench.until(lambda: not bench.states(), "all of them have ended")
    ended, switched = bench.ended(), bench.switched()
    told, heard = bench.end()
    promised = bench.apart and (bench.guests, seconds) >= ENOUGH
    what = "conductor alone" if bench.apart else "agents and fake hosts included"
    return [
        Row(
            f"{bench.guests} held for {seconds:.0f} s: CPU ({what})",
            f"{cores:.2f} cores",
            "<= 1 core",
            cores <= 1 if promised else None,
        ),
        Row("resident", f"{resident:.0f} MiB", "<= 500 MiB", resident <= 500 if promised else None),
        Row("lost while held", str(lost), "0", lost == 0),
        Row("ended", str(ended), f"{bench.guests} completed", ended == {"completed": bench.guests}),
        *_progress(told, heard, held, promised),
        *_arrivals(told, switched, promised),
        Row("load of the machine", f"{load:.1f}", "", None),
    ]


def _progress(told: Told, heard: Heard, held: tuple[float, float], promised: bool) -> Sequence[Row]:
    """The last reading before the end may be on its way still."""
    while_held, at_other_times = list[float](), list[float]()
    for each in told.read.keys() & heard.keys():
        read_at = told.read[each]
        (while_held if held[0] <= read_at < held[1] else at_other_times).append(
            heard[each] - read_at
        )
    until = max(heard.values(), default=0.0) - DUE_S
    lost = sum(at < until and each not in heard for each, at in told.read.items())
    what = "from its reading to the conductor's memory, p99"
    return [
        Row(
            f"{len(while_held)} progress events while held: {what}",
            f"{p99(while_held):.2f} s",
            "<= 1 s",
            p99(while_held) <= 1 if promised else None,
        ),
        Row(
            f"{len(at_other_times)} while they began and ended",
            f"{p99(at_other_times):.2f} s",
            "",
            None,
        ),
        Row("progress events lost", str(lost), "0", lost == 0 if promised else None),
    ]


def _arrivals(told: Told, switched: Mapping[str, datetime], promised: bool) -> Sequence[Row]:
    arrival = p99([(switched[each] - at).total_seconds() for each, at in told.arrived.items()])
    return [
        Row(
            "from a guest's arrival to the stored switch, p99",
            f"{arrival:.2f} s",
            "<= 1 s",
            arrival <= 1 if promised else None,
        ),
    ]


def throughput(bench: Bench) -> Sequence[Row]:
    """Whole migrations, as many at once as there are, as fast as they are taken."""
    meter, began, load = Meter(bench.conductor.pid), time.monotonic(), os.getloadavg()[0]
    bench.ask()
    asked = time.monotonic() - began
    bench.until(lambda: not bench.states(), "all of them have ended")
    took, cores = time.monotonic() - began, meter.cores()
    ended = bench.ended()
    bench.end()
    what = "conductor alone" if bench.apart else "agents and fake hosts included"
    return [
        Row(f"{bench.guests} whole migrations", f"{bench.guests / took:.1f} per second", "", None),
        Row("of which asking", f"{asked:.0f} s of {took:.0f} s", "", None),
        Row(f"CPU ({what})", f"{cores * took / bench.guests * 1000:.0f} ms each", "", None),
        Row("ended", str(ended), f"{bench.guests} completed", ended == {"completed": bench.guests}),
        Row("load of the machine", f"{load:.1f}", "", None),
    ]


def measure(asked: argparse.Namespace, transport: str, database: str) -> int:
    """Over one transport and one database, which is empty."""
    with tempfile.TemporaryDirectory() as where:
        wires = Wires(where, transport, database, asked.migrations)
        held = asked.seconds + ASKING_S * asked.migrations
        bench = Bench(wires, copy_s=held if asked.mode == "hold" else 0.0)
        try:
            rows = hold(bench, asked.seconds) if asked.mode == "hold" else throughput(bench)
        finally:
            bench.kill()
        print(wires.kind)
        return print_rows(rows)


def main() -> int:
    """Exit status: 1 when a promise was broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mode", choices=tuple(OVER))
    parser.add_argument("--migrations", type=int)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--over", nargs="+", metavar="DATABASE+TRANSPORT")
    parser.add_argument("--urls", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.migrations = asked.migrations or (1000 if asked.mode == "hold" else 200)
    if asked.urls:
        status = measure(asked, *asked.urls)
        sys.stdout.flush()
        # Agents in this process go on otherwise.
        os._exit(status)
    failed = 0
    for each in asked.over or OVER[asked.mode]:
        database, _, transport = each.partition("+")
        with (
            tempfile.TemporaryDirectory() as where,
            servers.transport(transport) as transport_url,
            servers.database(database, where) as database_url,
        ):
            # In a process of its own: what one measurement leaves behind is not part of the next.
            words = ["--migrations", str(asked.migrations), "--seconds", str(asked.seconds)]
            urls = ["--urls", transport_url, database_url]
            command = [sys.executable, "-m", "benchmarks.capacity", asked.mode, *words, *urls]
            failed |= subprocess.run(command, check=False).returncode
        print(flush=True)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())

"""How a guest that no pre-copy catches is brought over: migrator, virsh and Nova's timers, turn about.

    python -m benchmarks.endings [--rounds 2]

Needs root and what `tools/setup lab` installs. The link carries 400 Mbit/s, the guest rewrites 128 MiB
without pause. Each contender moves the same guest; the heartbeat that the guest prints tells for how
long it stood still, whatever the hosts say of it.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.lab import Lab, LabHost, until, virsh
from benchmarks.overhead import open_client
from benchmarks.report import Row, print_rows

GUEST = "busy"
GUEST_WORDS = ("--memory", "256", "--dirty", "128", "--dirty-rate", "0")
LINK_MBIT = "400"
BEAT = re.compile(r"^heartbeat .*?\bwall_ms=(\d+) gap_last_ms=(\d+)", re.MULTILINE)
SETTLE_S = 3.0
"""A heartbeat comes once a second; those of the move are all printed after this."""
LONGEST_S = 300.0

NOVA_END_S = 40.0
"""Nova ends a migration after 800 s for each GB, and counts at least 2 GB: 1,600 s. Here all its timers
run forty times as fast."""
NOVA_SCALE = NOVA_END_S / 1600.0
NOVA_STEPS = 10
NOVA_DELAY_S = 75 * 2 * NOVA_SCALE
NOVA_DOWNTIME_MS = 500


@dataclass
class Contender:
    """One way to move the guest, and what it took each time."""

    name: str
    move: Callable[[Lab, LabHost, LabHost], None]
    took_s: list[float] = field(default_factory=list)
    gaps_ms: list[int] = field(default_factory=list)
    stood_ms: list[int] = field(default_factory=list)
    """All gaps of a move together."""


def measure(rounds: int) -> list[Contender]:
    """Turn about, so that a noisy machine disturbs all of them."""
    contenders = [
        Contender("migrator, guaranteed", by_migrator),
        Contender("virsh --postcopy-after-precopy", by_virsh),
        Contender("Nova's timers x40, post-copy at their end", by_novas_timers),
    ]
    with Lab(hosts=2) as lab:
        here, there = lab.hosts
        lab.guest(GUEST, here, *GUEST_WORDS)
        for host in lab.hosts:
            lab.tool("limit", host.name, LINK_MBIT)
        for _ in range(rounds):
            for each in contenders:
                before = len(BEAT.findall(lab.tool("log", GUEST)))
                started = time.monotonic()
                each.move(lab, here, there)
                each.took_s.append(time.monotonic() - started)
                time.sleep(SETTLE_S)
                gaps = [int(gap) for _, gap in BEAT.findall(lab.tool("log", GUEST))[before:]]
                each.gaps_ms.append(max(gaps))
                each.stood_ms.append(sum(gap for gap in gaps if gap >= STANDS_MS))
                here, there = there, here
                await_owner(lab, here)
    return contenders


STANDS_MS = 100
"""Shorter gaps are an emulated guest's own."""


def by_migrator(lab: Lab, here: LabHost, there: LabHost) -> None:
    """Asked for over HTTP, with the profile that always gets there."""
    client = open_client(lab.endpoint)
    asked = {"instance": GUEST, "host": there.name, "profile": "guaranteed"}
    answer = client.post("/v1/migrations", json=asked)
    answer.raise_for_status()
    path = f"/v1/migrations/{answer.json()['id']}"
    until(lambda: client.get(path).json()["finished_at"] is not None, "the migration to end")
    ended = client.get(path).json()
    if ended["state"] != "completed":
        raise SystemExit(f"the migration ended {ended['state']}: {ended['error']}")


def by_virsh(lab: Lab, here: LabHost, there: LabHost) -> None:
    """One pass of pre-copy, then post-copy, by virsh itself."""
    virsh(here, *_words(there, "--postcopy", "--postcopy-after-precopy"))


def by_novas_timers(lab: Lab, here: LabHost, there: LabHost) -> None:
    """The downtime grows in steps, and when the time is up post-copy is started."""
    process = subprocess.Popen(
        ["virsh", "-c", here.libvirt_uri, *_words(there, "--postcopy")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    started = time.monotonic()
    base = NOVA_DOWNTIME_MS / NOVA_STEPS
    offset = (NOVA_DOWNTIME_MS - base) / NOVA_STEPS
    steps = [(NOVA_DELAY_S * n, int(base + offset * n)) for n in range(NOVA_STEPS + 1)]
    forced = False
    while process.poll() is None:
        passed = time.monotonic() - started
        while steps and passed > steps[0][0]:
            _, milliseconds = steps.pop(0)
            _try(here, "migrate-setmaxdowntime", GUEST, str(milliseconds))
        if passed > NOVA_END_S and not forced:
            forced = _try(here, "migrate-postcopy", GUEST)
        if passed > LONGEST_S:
            process.kill()
        time.sleep(0.5)
    if process.returncode != 0:
        assert process.stderr is not None
        raise SystemExit(f"virsh migrate failed: {process.stderr.read().decode()}")


def _words(there: LabHost, *more: str) -> list[str]:
    where = [there.peer_uri, "--migrateuri", f"tcp://{there.migration_address}"]
    return ["migrate", "--live", "--p2p", "--persistent", "--undefinesource", *more, GUEST, *where]


def _try(host: LabHost, *words: str) -> bool:
    """Before the memory's copy has begun, or after its end, libvirt refuses."""
    done = subprocess.run(["virsh", "-c", host.libvirt_uri, *words], capture_output=True)
    return done.returncode == 0


def await_owner(lab: Lab, host: LabHost) -> None:
    """Until migrator knows where the guest has been moved to without it."""
    client = open_client(lab.endpoint)
    until(
        lambda: client.get(f"/v1/instances/{GUEST}").json().get("host") == host.name,
        f"{host.name} to own {GUEST}",
    )


def rows(contenders: list[Contender]) -> list[Row]:
    """Medians; migrator is promised to be quicker than the timers, and as quick as one pass is."""
    ours, one_pass, timers = (statistics.median(each.took_s) for each in contenders)
    table = []
    for each in contenders:
        took, gap = statistics.median(each.took_s), statistics.median(each.gaps_ms)
        stood = statistics.median(each.stood_ms)
        text = f"{took:.1f} s, longest gap {gap:.0f} ms, gaps together {stood:.0f} ms"
        table.append(Row(each.name, text, "", None))
    ratio = f"{ours / one_pass:.2f}, {ours / timers:.2f}"
    kept = ours <= 1.5 * one_pass and ours < timers
    table.append(Row("migrator's time over theirs", ratio, "<= 1.5, < 1", kept))
    return table


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.endings", description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args(words)
    return print_rows(rows(measure(asked.rounds)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

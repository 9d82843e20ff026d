"""Microseconds of one fit on one host: python -m benchmarks.fit

The host is one of benchmarks/fleets.py, half taken; each row is the median over many such hosts. Where
nova is installed (``tox -e bench-nova``) its ``numa_fit_instance_to_host`` answers the same questions in
the same run, over objects prepared beforehand, as ours are.
"""

from __future__ import annotations

import gc
import importlib.util
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from benchmarks.fleets import MEMORY_MIB, gpu, guest, taken, topology, vf
from benchmarks.report import Row, print_rows
from migrator.model import HostUse, Placement, ResourceRequest, ThreadPolicy
from migrator.scheduler.fit import fit_room, need, room, take

HOSTS = 40
ROUNDS = 15
SHARED, PINNED, PCI, NOFIT = "shared", "pinned", "pci", "nofit"
TIMES = {SHARED: 1.0, PINNED: 10.0, PCI: 100.0, NOFIT: 1.0}
"""How many times faster than nova each kind of row has to be."""


@dataclass(frozen=True)
class Case:
    """One row."""

    name: str
    kind: str
    request: ResourceRequest


CASES = (
    Case("1 cell, shared, 4 vCPUs", SHARED, guest(1, 4, pinned=False)),
    Case("1 cell, pinned, 4 vCPUs", PINNED, guest(1, 4)),
    Case("1 cell, pinned, 8 vCPUs, 2M", PINNED, guest(1, 8, 2048)),
    Case(
        "1 cell, pinned, 8 vCPUs, 1G, require",
        PINNED,
        guest(1, 8, 1048576, threads=ThreadPolicy.REQUIRE),
    ),
    Case("1 cell, pinned, isolate", PINNED, guest(1, 2, threads=ThreadPolicy.ISOLATE)),
    Case("2 cells, pinned, 16 vCPUs, 1G", PINNED, guest(2, 16, 1048576)),
    Case("4 cells, pinned, 32 vCPUs, 1G", PINNED, guest(4, 32, 1048576)),
    Case("1 cell, pinned, 1 function", PCI, guest(1, 4, pci=(vf(),))),
    Case("2 cells, pinned, 2 functions, 1 card", PCI, guest(2, 16, pci=(vf(count=2), gpu()))),
    Case("no pages", NOFIT, guest(1, 4, 1048576, memory_mib=MEMORY_MIB)),
    Case("too few CPUs", NOFIT, guest(1, 33)),
    Case("4 cells, too few CPUs", NOFIT, guest(4, 132)),
    Case("2 cells, no such devices", PCI, guest(2, 8, pci=(vf(count=33),))),
)


def main() -> int:
    uses = [_use(Random(number)) for number in range(HOSTS)]
    nova = _nova(uses)
    rows = []
    for case in CASES:
        ours, answers = measure(_ours(case.request, uses))
        if nova is None:
            rows.append(Row(case.name, f"{ours:.1f} us ({answers} of {HOSTS} fit)", "", None))
            continue
        theirs, same = measure(nova(case.request))
        times, wanted = theirs / ours, TIMES[case.kind]
        told = f"{ours:.1f} us ({answers} of {HOSTS} fit), nova {theirs:.0f} us ({same}): {times:.0f} x"
        rows.append(Row(case.name, told, f">= {wanted:g} x", times >= wanted))
    return print_rows(rows)


def _use(dice: Random) -> HostUse:
    return take(HostUse(), taken(dice))


Asked = Sequence[Callable[[], bool]]
"""One question for each host: does it fit?"""


def measure(asked: Asked) -> tuple[float, int]:
    """CPU microseconds of one question, the median of several rounds; and how many fit."""
    answers = sum(ask() for ask in asked)
    figures = []
    gc.collect()
    for _ in range(ROUNDS):
        began = time.process_time()
        for ask in asked:
            ask()
        figures.append((time.process_time() - began) / len(asked) * 1e6)
    return statistics.median(figures), answers


def _ours(request: ResourceRequest, uses: Sequence[HostUse]) -> Asked:
    host, wanted = topology(), need(request)

    def question(use: HostUse) -> Callable[[], bool]:
        left = room(host, use)
        return lambda: isinstance(fit_room(left, wanted), Placement)

    return [question(use) for use in uses]


def _nova(uses: Sequence[HostUse]) -> Callable[[ResourceRequest], Asked] | None:
    """None where it is not installed."""
    if importlib.util.find_spec("nova") is None:
        return None
    from benchmarks.nova_fit import questions

    return lambda request: questions(topology(), uses, request)


if __name__ == "__main__":
    raise SystemExit(main())

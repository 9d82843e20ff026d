"""CPU time of placing one guest in a large fleet, its claim included: python -m benchmarks.scheduler

Every host is unlike every other (benchmarks/fleets.py) and lives in a real database, SQLite in a
temporary directory. A decision asks for the hosts' marks, selects, and moves a migration to
``claimed``; one that finds no place ends with the sentence an operator reads. Each is checked against
an exhaustive search. ``--hosts N`` (may be repeated) for other sizes.

Where nova is installed (``tox -e bench-nova``) its scheduler decides the same over the same hosts in the
same run: its default filters, those for NUMA cells and PCI devices, its weighers, and its taking from
the host's state. Neither Placement nor SQL is counted there; our claim in the database is.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import itertools
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from sqlalchemy import insert

from benchmarks.fleets import CELLS, MEMORY_MIB, guest, taken, topology, vf
from benchmarks.report import Row, print_rows
from migrator.conductor.candidates import Candidates
from migrator.conductor.placement import nobody_fits
from migrator.conductor.ports import Lead, Stores
from migrator.db import schema, tables
from migrator.db.engine import Database
from migrator.db.rows import to_column
from migrator.db.stores import Patience, open_stores
from migrator.model import (
    HostFacts,
    HostUse,
    Instance,
    InstanceStatus,
    Kind,
    Migration,
    Mode,
    Placement,
    ResourceRequest,
    TakeClaim,
)
from migrator.scheduler.filters import FILTERS
from migrator.scheduler.fit import fit_room, need, take
from migrator.scheduler.select import select
from migrator.scheduler.snapshot import Candidate, Promises, Wanted
from migrator.scheduler.weighers import score
from migrator.states import MigrationState as S
from migrator.threads import Threads

SIZES = (1_000, 10_000)
PROMISED_MS = {1_000: 20.0, 10_000: 150.0}
DECISIONS = 9
"""Of each kind; the median is told."""
NOVA_TIMES = 100
"""How many times the CPU time of ours nova's decision has to take."""
PROMISES = Promises(cpu_overcommit=16.0, memory_overcommit=1.0, reserved_memory_mib=512)
SATISFIABLE = guest(1, 8, 2048, pci=(vf(),))
UNSATISFIABLE = {
    "no host has the pages": guest(1, 8, 2048, memory_mib=MEMORY_MIB, pci=(vf(),)),
    "no host has the functions": guest(1, 8, 2048, pci=(vf(count=33),)),
    "no cell has them, hosts do": guest(1, 8, 2048, pci=(vf(count=9),)),
    "no cell has the CPUs": guest(1, 33, 2048, memory_mib=4096, pci=(vf(),)),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--hosts", type=int, action="append", default=[], metavar="N")
    rows = [row for size in parser.parse_args().hosts or SIZES for row in measure(size)]
    return print_rows(rows)


def measure(size: int) -> Iterator[Row]:
    """All rows of one fleet."""
    promised = PROMISED_MS.get(size)
    with fleet(size) as there:
        built = cpu_ms(there.candidates.now)
        yield Row(f"{size} hosts: decode all, once", f"{built:.0f} ms", "", None)
        fitting = len(all_fitting(_wanted(SATISFIABLE), there.candidates.now()))
        figures = [there.decide(SATISFIABLE) for _ in range(DECISIONS)]
        yield _row(f"{size} hosts: pins, pages, function; with claim", figures, promised)
        yield from _nova(size, statistics.median(figures), fitting)
        for name, request in UNSATISFIABLE.items():
            figures = [there.refuse(request) for _ in range(DECISIONS)]
            yield _row(f"{size} hosts: {name}", figures, promised)


def _nova(size: int, ours: float, fitting: int) -> Iterator[Row]:
    """Once: it takes a minute for each 10,000 hosts. Nothing where it is not installed.

    :param ours: CPU milliseconds of the same decision.
    :param fitting: how many of these hosts fit.
    """
    if importlib.util.find_spec("nova") is None:
        return
    from benchmarks.nova_scheduler import NovaScheduler

    # The first is where the guest comes from: ignored there by name, here by a filter.
    numbers = range(1, size)
    uses = {f"h{number:05}": take(HostUse(), taken(Random(number))) for number in numbers}
    scheduler = NovaScheduler(topology(), uses)
    states: list[object] = []
    made = cpu_ms(lambda: states.extend(scheduler.states()))
    answers: list[int] = []
    decided = cpu_ms(lambda: answers.append(scheduler.decide(states, SATISFIABLE)))
    assert answers == [fitting], f"{fitting} hosts fit, nova says {answers}"
    what = f"{size} hosts: the same by nova's scheduler, {fitting} fit"
    times = decided / ours
    told = f"{decided:.0f} ms, its host states {made:.0f} ms more: {times:.0f} x"
    yield Row(what, told, f">= {NOVA_TIMES} x", times >= NOVA_TIMES)


def _row(what: str, figures: Sequence[float], promised: float | None) -> Row:
    median = statistics.median(figures)
    told = f"{median:.1f} ms (best {min(figures):.1f})"
    if promised is None:
        return Row(what, told, "", None)
    return Row(what, told, f"<= {promised:g} ms", median <= promised)


def cpu_ms(work: Callable[[], object]) -> float:
    """CPU time of this process."""
    gc.collect()
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1000


@dataclass(frozen=True)
class Fleet:
    """A fleet in a database, and the hosts as placements see them."""

    stores: Stores
    candidates: Candidates
    numbers: Iterator[int]

    def decide(self, request: ResourceRequest) -> float:
        """Place one guest; the CPU milliseconds."""
        wanted, lead = _wanted(request), self._led()
        best = exhaustive(wanted, self.candidates.now())

        def work() -> str:
            chosen = select(wanted, self.candidates.now(), enough=1).fitting[0]
            host = chosen.candidate.host
            claim = TakeClaim(
                host.name,
                host.claims_generation,
                request.vcpus,
                request.memory_mib,
                chosen.placement,
            )
            self.stores.journal.move(
                lead, S.SCHEDULING, S.CLAIMED, "chosen", [claim], destination=host.name
            )
            names.append(host.name)
            return host.name

        names: list[str] = []
        spent = cpu_ms(work)
        assert names == [best], f"chose {names}, an exhaustive search {best}"
        return spent

    def refuse(self, request: ResourceRequest) -> float:
        """Find no place for one guest and say why; the CPU milliseconds."""
        wanted = _wanted(request)
        assert exhaustive(wanted, self.candidates.now()) is None

        def work() -> None:
            refused = nobody_fits(select(wanted, self.candidates.now(), enough=1), [], None)
            assert refused.code == "host.none_fits"

        return cpu_ms(work)

    def _led(self) -> Lead:
        """A migration that is looking for its place."""
        number = next(self.numbers)
        instance = Instance(
            str(uuid.UUID(int=number)),
            f"g{number}",
            "h00000",
            InstanceStatus.RUNNING,
            8,
            4096,
            True,
        )
        self.stores.instances.save(instance, use_claim=False)
        migration = Migration(
            id=str(uuid.uuid4()),
            instance_id=instance.id,
            instance_name=instance.name,
            kind=Kind.LIVE,
            mode=Mode.AUTO,
            state=S.QUEUED,
            created_at=datetime.now(UTC),
            source="h00000",
        )
        self.stores.journal.submit(migration)
        taken_up = self.stores.journal.lead(migration.id, "c1", 600.0)
        assert taken_up is not None
        self.stores.journal.move(taken_up[0], S.QUEUED, S.SCHEDULING, "its turn")
        return taken_up[0]


def _wanted(request: ResourceRequest) -> Wanted:
    return Wanted(
        source="h00000",
        vcpus=request.vcpus,
        memory_mib=request.memory_mib if request.page_kib is None else 0,
        sharing=request.vcpus - len(request.dedicated),
        need=need(request),
        arch="x86_64",
        virt_type="kvm",
        machine="",
        networks=("default",),
    )


def exhaustive(wanted: Wanted, candidates: Sequence[Candidate]) -> str | None:
    """The best of all hosts that fit, every one of them asked."""
    scored = [(-score(each), each.host.name) for each in all_fitting(wanted, candidates)]
    return min(scored)[1] if scored else None


def all_fitting(wanted: Wanted, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Every host that fits."""
    assert wanted.need is not None
    return [
        each
        for each in candidates
        if all(rule.check(each, wanted) is None for rule in FILTERS)
        and each.room is not None
        and isinstance(fit_room(each.room, wanted.need), Placement)
    ]


@contextmanager
def fleet(size: int) -> Iterator[Fleet]:
    """``size`` hosts, each about half taken by one claim."""
    with tempfile.TemporaryDirectory(prefix="migrator-bench-") as directory:
        url = f"sqlite:///{Path(directory) / 'fleet.sqlite'}"
        schema.upgrade(url)
        database = Database(url)
        _fill(database, size)
        stores = open_stores(database, lambda: datetime.now(UTC), Patience(silent_host_s=1e6))
        yield Fleet(stores, Candidates(stores, PROMISES, Threads()), itertools.count(10_000_000))
        database.close()


def _fill(database: Database, size: int) -> None:
    """With SQL: through the stores it would take minutes."""
    facts = to_column(
        HostFacts(
            9_000_000,
            7_002_000,
            "x86_64",
            128,
            CELLS * MEMORY_MIB,
            networks=("default",),
            topology=topology(),
        )
    )
    now = datetime.now(UTC)
    hosts, instances, claims = [], [], []
    for number in range(size):
        name, instance_id = f"h{number:05}", str(uuid.UUID(int=number + 1))
        uri = f"qemu+tls://{name}/system"
        placement = taken(Random(number))
        hosts.append(
            {
                "name": name,
                "state": "enabled",
                "libvirt_uri": uri,
                "peer_uri": uri,
                "control_address": name,
                "migration_address": name,
                "disk_address": name,
                "seen_at": now,
                "facts": facts,
            }
        )
        size_of = {"vcpus": 64 + placement.vcpus, "memory_mib": placement.memory_mib}
        instances.append(
            {
                "id": instance_id,
                "name": f"many-{number}",
                "host": name,
                "status": "running",
                "persistent": True,
                "candidates": [],
                "updated_at": now,
                **size_of,
            }
        )
        claims.append(
            {
                "host": name,
                "instance_id": instance_id,
                "purpose": "use",
                "placement": to_column(placement),
                "created_at": now,
                **size_of,
            }
        )
    with database.writer() as connection:
        for table, rows in (
            (tables.hosts, hosts),
            (tables.instances, instances),
            (tables.claims, claims),
        ):
            connection.execute(insert(table), rows)


if __name__ == "__main__":
    raise SystemExit(main())

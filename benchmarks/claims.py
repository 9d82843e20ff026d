"""Claims a second on SQLite and on PostgreSQL, and what becomes of fifty that want one slot at once.

    python -m benchmarks.claims

Each claim is a whole one (4 pinned vCPUs, pages, 1 device), taken by the move that a conductor makes
and given back; eight workers, on hosts of their own and all on the same one. PostgreSQL is a private
server of the run, on the local disk without fsync; without its programs that half is left out.
"""

from __future__ import annotations

import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from benchmarks.report import Row, print_rows
from migrator.conductor.host_turns import HostTurns, pause_s
from migrator.conductor.ports import Lead, Stores
from migrator.db import schema
from migrator.db.engine import Database
from migrator.db.stores import open_stores
from migrator.errors import Transient
from migrator.model import (
    DeviceGiven,
    DropClaim,
    HostAddresses,
    Instance,
    InstanceStatus,
    Kind,
    Migration,
    Mode,
    PagesTaken,
    Placement,
    TakeClaim,
)
from migrator.states import MigrationState as S
from migrator.threads import SystemClock, Threads
from tests.contract.database_fixtures import private_postgres

WORKERS = 8
ROUNDS = 40
"""Claims each worker takes and gives back."""
RIVALS = 50


class Service:
    """A database with a fleet in it."""

    def __init__(self, url: str) -> None:
        schema.upgrade(url)
        self.database = Database(url)
        self.stores: Stores = open_stores(self.database, SystemClock().now)
        self.clock = SystemClock()

    def host(self, name: str) -> str:
        addresses = HostAddresses(f"qemu+tls://{name}/system", f"qemu+tls://{name}", *[name] * 3)
        self.stores.hosts.register(name, addresses)
        return name

    def placing(self, name: str, source: str) -> Lead:
        """A led migration that looks for a place."""
        one = Instance(
            str(uuid.uuid4()), name, source, InstanceStatus.RUNNING, 4, 4096, persistent=True
        )
        self.stores.instances.save(one, use_claim=False)
        migration = self.stores.journal.submit(
            Migration(
                str(uuid.uuid4()),
                one.id,
                name,
                Kind.LIVE,
                Mode.AUTO,
                S.QUEUED,
                self.clock.now(),
                source=source,
            )
        )
        taken = self.stores.journal.lead(migration.id, "c1", 3600.0)
        assert taken is not None
        self.stores.journal.move(taken[0], S.QUEUED, S.SCHEDULING, "led")
        return taken[0]


def placement(first_cpu: int) -> Placement:
    """4 pinned vCPUs, 2,048 pages, one device."""
    return Placement(
        vcpus=0,
        memory_mib=0,
        pins=tuple((vcpu, first_cpu + vcpu) for vcpu in range(4)),
        pages=(PagesTaken(0, 2048, 2048),),
        page_kib=2048,
        devices=(DeviceGiven("nic", f"0000:3b:{first_cpu // 8:02x}.{first_cpu % 8}"),),
    )


def take(service: Service, lead: Lead, host: str, wanted: Placement, turns: HostTurns) -> int:
    """As the step does it: in turn with the others of its conductor, and after each conflict again, a
    moment later; how many there were."""
    conflicts = 0
    while True:
        with turns.at(host):
            generation, _ = service.stores.claims.on_host(host)
            effect = TakeClaim(host, generation, 4, 4096, wanted)
            try:
                service.stores.journal.move(
                    lead, S.SCHEDULING, S.CLAIMED, "placed", [effect], destination=host
                )
            except Transient as conflict:
                if conflict.code != "claim.conflict":
                    raise
                conflicts += 1
            else:
                return conflicts
        time.sleep(pause_s(lead.migration_id, conflicts))


def give_back(service: Service, lead: Lead, host: str) -> None:
    drop = [DropClaim(host)]
    service.stores.journal.move(lead, S.CLAIMED, S.SCHEDULING, "again", drop, destination=None)


def claims_per_second(
    service: Service, hosts: Sequence[str], conductors: int = 1
) -> tuple[float, int]:
    """(claims taken and given back per second, conflicts) of all workers together."""
    turns = [HostTurns(Threads()) for _ in range(conductors)]
    leads = [service.placing(f"g{uuid.uuid4().hex[:8]}", "s1") for _ in range(WORKERS)]
    start = threading.Barrier(WORKERS + 1)

    def work(number: int) -> int:
        host, wanted = hosts[number % len(hosts)], placement(4 * number)
        start.wait()
        conflicts = 0
        for _ in range(ROUNDS):
            mine = turns[number % conductors]
            conflicts += take(service, leads[number], host, wanted, mine)
            give_back(service, leads[number], host)
        return conflicts

    with ThreadPoolExecutor(WORKERS) as pool:
        working = [pool.submit(work, number) for number in range(WORKERS)]
        start.wait()
        began = time.monotonic()
        conflicts = sum(each.result() for each in working)
        took = time.monotonic() - began
    return WORKERS * ROUNDS / took, conflicts


def fifty_for_one(service: Service, host: str) -> tuple[Counter[str], float]:
    """(what became of them, seconds)."""
    leads = [service.placing(f"r{number}", "s1") for number in range(RIVALS)]
    start = threading.Barrier(RIVALS + 1)

    def work(lead: Lead) -> str:
        start.wait()
        while True:
            generation, there = service.stores.claims.on_host(host)
            if there:
                return "refused"
            effect = TakeClaim(host, generation, 4, 4096, placement(0))
            try:
                service.stores.journal.move(lead, S.SCHEDULING, S.CLAIMED, "placed", [effect])
            except Transient as conflict:
                if conflict.code != "claim.conflict":
                    return conflict.code
            else:
                return "won"

    with ThreadPoolExecutor(RIVALS) as pool:
        working = [pool.submit(work, lead) for lead in leads]
        start.wait()
        began = time.monotonic()
        answers = Counter(each.result() for each in working)
        return answers, time.monotonic() - began


def measure(name: str, url: str) -> list[Row]:
    """One database."""
    service = Service(url)
    service.host("s1")
    apart = [service.host(f"h{number}") for number in range(WORKERS)]
    alone, _ = claims_per_second(service, apart)
    crowded, conflicts = claims_per_second(service, [service.host("crowded")])
    split, more_conflicts = claims_per_second(service, [service.host("split")], WORKERS)
    answers, took = fifty_for_one(service, service.host("slot"))
    service.database.close()
    whole = dict(answers) == {"won": 1, "refused": RIVALS - 1}
    told = ", ".join(f"{count} {answer}" for answer, count in sorted(answers.items()))
    return [
        Row(f"{name}: claims/s, {WORKERS} workers on hosts of their own", f"{alone:.0f}", "", None),
        Row(
            f"{name}: claims/s, {WORKERS} workers on one host",
            f"{crowded:.0f} ({conflicts} conflicts)",
            "",
            None,
        ),
        Row(
            f"{name}: the same, each a conductor of its own",
            f"{split:.0f} ({more_conflicts} conflicts)",
            "",
            None,
        ),
        Row(f"{name}: {RIVALS} at once for one slot", f"{told} in {took:.2f} s", "1 won", whole),
    ]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        rows = measure("SQLite", f"sqlite:///{folder}/migrator.sqlite")
    with private_postgres() as url:
        if url is None:
            print("PostgreSQL is not installed and not measured")
        else:
            rows += measure("PostgreSQL", url)
    return print_rows(rows)


if __name__ == "__main__":
    raise SystemExit(main())

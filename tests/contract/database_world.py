"""Where the database contract tests begin from: shorthands over stores, and rivals at once."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from migrator.conductor.ports import Lead, Stores
from migrator.db.engine import Database
from migrator.db.stores import Patience, open_stores
from migrator.errors import MigratorError
from migrator.model import (
    AddTodo,
    Effect,
    HostAddresses,
    Instance,
    InstanceStatus,
    Kind,
    Migration,
    Mode,
    SwitchOwner,
    TakeClaim,
    Todo,
    TodoKind,
)
from migrator.states import MigrationState as S

T = TypeVar("T")

PATH_TO_RUNNING = (S.QUEUED, S.SCHEDULING, S.CLAIMED, S.PREPARING, S.RUNNING)

FENCE = AddTodo(TodoKind.FENCE_SOURCE, "h1", {"attempt": 1})
FINISH = AddTodo(TodoKind.FINISH_DESTINATION, "h2")
RELEASE = AddTodo(TodoKind.RELEASE_SOURCE, "h1")
UNDO = AddTodo(TodoKind.UNDO_DESTINATION, "h2")


class SteppingClock:
    """A conductor's clock that only moves when told."""

    def __init__(self) -> None:
        self._now = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def step(self, seconds: float = 1.0) -> datetime:
        self._now += timedelta(seconds=seconds)
        return self._now


@dataclass(frozen=True)
class World:
    """Stores over one database, with shorthands for what tests begin from."""

    database: Database
    stores: Stores
    clock: SteppingClock

    def again(self, patience: Patience | None = None) -> World:
        """The same as another process of the service sees it."""
        return replace(self, stores=open_stores(self.database, self.clock.now, patience))

    def host(self, name: str) -> str:
        uri = f"qemu+tls://{name}/system"
        addresses = HostAddresses(uri, uri, name, name, name)
        self.stores.hosts.register(name, addresses)
        return name

    def instance(self, name: str = "web1", host: str | None = "h1") -> Instance:
        one = Instance(
            id=str(uuid.uuid4()),
            name=name,
            host=host,
            status=InstanceStatus.RUNNING,
            vcpus=2,
            memory_mib=512,
            persistent=True,
        )
        self.stores.instances.save(one, use_claim=host is not None)
        return one

    def request(self, instance: Instance, request_id: str | None = None) -> Migration:
        return Migration(
            id=str(uuid.uuid4()),
            instance_id=instance.id,
            instance_name=instance.name,
            kind=Kind.LIVE,
            mode=Mode.TARGET,
            state=S.QUEUED,
            created_at=self.clock.step(),
            request_id=request_id,
            requested_host="h2",
        )

    def queued(self, instance: Instance | None = None) -> Migration:
        return self.stores.journal.submit(self.request(instance or self.instance()))

    def led(self, migration: Migration, leader: str = "c1", lease_s: float = 60.0) -> Lead:
        taken = self.stores.journal.lead(migration.id, leader, lease_s)
        assert taken is not None
        return taken[0]

    def take(self, host: str = "h2") -> TakeClaim:
        generation, _ = self.stores.claims.on_host(host)
        return TakeClaim(host, generation, vcpus=2, memory_mib=512)

    def advance(self, lead: Lead, to: S) -> Migration:
        """From ``queued`` along the straight way, h1 to h2, with the effects a conductor gives."""
        path = PATH_TO_RUNNING[: PATH_TO_RUNNING.index(to) + 1]
        moved = self.stores.migrations.get(lead.migration_id)
        for old, new in itertools.pairwise(path):
            claim: list[Effect] = [self.take()] if new is S.CLAIMED else []
            places = {"source": "h1", "destination": "h2"} if claim else {}
            moved = self.stores.journal.move(lead, old, new, "as planned", claim, **places)
        return moved

    def switched(self, lead: Lead, *todos: AddTodo) -> Migration:
        self.advance(lead, S.RUNNING)
        effects: list[Effect] = [SwitchOwner("h1", "h2"), *todos]
        return self.stores.journal.move(lead, S.RUNNING, S.SWITCHED, "it runs there", effects)

    def claimed(self, host: str) -> set[tuple[str, str]]:
        return {
            (claim.instance_name, claim.purpose.value)
            for claim in self.stores.claims.on_host(host)[1]
        }


def whole(world: World, migration_id: str) -> tuple[object, ...]:
    """Everything the database says that a refused move might have changed."""
    stores = world.stores
    return (
        stores.migrations.get(migration_id),
        stores.migrations.events(migration_id, 0, 1000),
        stores.claims.list(),
        stores.hosts.list(),
        stores.instances.list(),
        stores.migrations.open_todos(migration_id),
    )


def kinds(todos: Iterable[Todo | AddTodo]) -> list[TodoKind]:
    return [todo.kind for todo in todos]


def at_once(*works: Callable[[], T]) -> list[T | MigratorError]:
    """What each answered or raised, all begun at the same moment."""
    start = threading.Barrier(len(works))

    def begin(work: Callable[[], T]) -> T | MigratorError:
        start.wait()
        try:
            return work()
        except MigratorError as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(begin, works))

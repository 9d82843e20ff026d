"""What a migration costs the database, progress apart. Figures here are ceilings: lower them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from migrator.conductor.ports import Stores
from migrator.conductor.settings import ConductorSettings
from migrator.rpc import Bus
from tests.fakes.hypervisor import FakeDisk
from tests.fakes.hypervisor_pools import FakeVolume
from tests.functional.stories.fleet import SHARED_DISK, ServiceUnderTest

MOST_STATEMENTS = 85
NEVER_S = 3600.0
"""So that no heartbeat and no lease is counted."""


class Watched:
    """A store that says when one of its verbs has answered."""

    def __init__(self, store: Any, verb: str) -> None:
        self._store = store
        self._verb = verb
        self.answered = threading.Event()

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self._store, name)
        if name != self._verb:
            return asked

        def answer(*words: Any, **more: Any) -> Any:
            said = asked(*words, **more)
            self.answered.set()
            return said

        return answer


class Counted(ServiceUnderTest):
    """Knows the moment when the last word about a migration is written."""

    settled: Watched

    def __init__(self, tmp_path: Path, bus: Bus) -> None:
        settings = ConductorSettings(name="c1", encryption="off", lease_s=NEVER_S)
        super().__init__(tmp_path, bus, settings=settings, heartbeat_s=NEVER_S)
        self.wrap_stores = self._watch

    def _watch(self, stores: Stores) -> Stores:
        # The claim of a guest that has moved is looked at last of all.
        self.settled = Watched(stores.instances, "keep_use_claim")
        return replace(stores, instances=self.settled)  # type: ignore[arg-type]

    def statements_of_a_move(self, instance: str, host: str) -> int:
        self.settled.answered.clear()
        before = self.database.statements
        moving = self.migrate(instance, host=host)
        while True:
            assert self.settled.answered.wait(30), self.events(moving.id)
            self.settled.answered.clear()
            spent = self.database.statements - before
            if self.show(moving.id).state == "completed":
                return spent
            # It was looked at for another reason, on a slow machine; our own look does not count.
            before = self.database.statements - spent


@pytest.fixture
def service(tmp_path: Path, bus: Bus) -> Iterator[Counted]:
    with Counted(tmp_path, bus) as started:
        yield started


@pytest.mark.parametrize("disks", [(), SHARED_DISK], ids=["without a disk", "on a shared disk"])
def test_a_migration_takes_few_statements(
    service: Counted, record_property: Any, disks: tuple[FakeDisk, ...]
) -> None:
    for disk in disks:
        service.host("h1").pools[disk.pool].storage.volumes[disk.volume] = FakeVolume(b"shared")
    service.add_guest("h1", "web1", disks=disks)
    spent = [service.statements_of_a_move("web1", host) for host in ("h2", "h1", "h2")]
    record_property("statements", max(spent))
    assert max(spent) <= MOST_STATEMENTS

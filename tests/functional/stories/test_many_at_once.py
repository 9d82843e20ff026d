"""Migrations that begin together do not get into each other's way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.conductor.settings import ConductorSettings
from migrator.rpc import Bus
from tests.functional.stories.fleet import ServiceUnderTest

EIGHT = [f"web{number}" for number in range(8)]


@pytest.fixture
def wide(tmp_path: Path, bus: Bus) -> Iterator[ServiceUnderTest]:
    """Lets as many leave and arrive at once as want to."""
    settings = ConductorSettings(
        name="c1", encryption="off", lease_s=3.0, max_outgoing=8, max_incoming=8
    )
    with ServiceUnderTest(tmp_path, bus, settings=settings) as started:
        yield started


def test_all_that_want_to_one_host_at_once_get_there(wide: ServiceUnderTest) -> None:
    for name in EIGHT:
        wide.add_guest("h1", name)
    asked = [wide.migrate(name, host="h2") for name in EIGHT]
    ended = [wide.wait(migration.id) for migration in asked]
    assert [(each.state, each.error) for each in ended] == [("completed", None)] * len(EIGHT)
    assert wide.claims() == [("h2", name, "use") for name in EIGHT]


def test_a_migration_that_is_looked_at_often_is_led_once(wide: ServiceUnderTest) -> None:
    for name in EIGHT:
        wide.add_guest("h1", name)
    for _ in range(500):
        wide.conductor.context.dispatch.put("look")
    asked = [wide.migrate(name, host="h2") for name in EIGHT]
    for migration in asked:
        assert wide.wait(migration.id).state == "completed"
        assert wide.conductor.context.stores.migrations.get(migration.id).epoch == 1

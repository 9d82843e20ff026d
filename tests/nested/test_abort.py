"""An abort leaves everything as it was before the migration."""

from __future__ import annotations

import pytest

from tests.nested.lab import SLOWLY, Lab
from tests.nested.verify import verify

pytestmark = pytest.mark.nested


def test_an_abort_while_memory_flows_leaves_the_guest_where_it_was(lab: Lab, roamer: str) -> None:
    source = lab.home_of(roamer)
    destination = lab.other(source)
    lab.virsh(source, "autostart", roamer)
    before = lab.definitions()
    moving = lab.migrate(roamer, destination, *SLOWLY)
    moving.until_memory_flows()
    assert lab.names_on(destination) == [roamer]

    done = lab.migrator("migration", "abort", moving.id, "--wait", "-f", "json")

    assert done.status == 0, done.err
    assert done.json["state"] == "cancelled"
    asked = [each for each in done.json["actions"] if each["action"] == "abort"]
    assert [(each["by"], each["result"]) for each in asked] == [("operator", "aborted")]
    assert lab.names_on(destination) == []
    assert lab.home_of(roamer) == source
    assert lab.definitions() == before
    assert lab.autostarts_on(source) == [roamer]
    lab.virsh(source, "autostart", "--disable", roamer)
    verify(lab)


def test_a_migration_that_has_ended_cannot_be_aborted(lab: Lab, roamer: str) -> None:
    moved = lab.move(roamer, lab.other(lab.home_of(roamer)))
    done = lab.migrator("migration", "abort", moved["id"])
    assert done.status == 2
    assert done.code == "migration.finished"
    verify(lab)


def test_a_guest_that_is_moving_is_refused_with_the_id_of_its_migration(
    lab: Lab, roamer: str
) -> None:
    source = lab.home_of(roamer)
    moving = lab.migrate(roamer, lab.other(source), *SLOWLY)
    moving.until_memory_flows()
    done = lab.migrator("migrate", roamer, "--host", lab.other(source).name)
    assert done.status == 2
    assert done.code == "migration.exists"
    assert moving.id in done.err
    lab.hurry(roamer, source)
    assert moving.until_ended()["state"] == "completed"
    verify(lab)

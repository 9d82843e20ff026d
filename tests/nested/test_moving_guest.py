"""A guest that writes to its memory moves to another host and back."""

from __future__ import annotations

import pytest

from tests.nested.lab import Lab
from tests.nested.verify import verify

pytestmark = pytest.mark.nested

CONTRACT = [
    "id",
    "instance",
    "kind",
    "mode",
    "state",
    "needs_attention",
    "source",
    "destination",
    "profile",
    "created_at",
    "switched_at",
    "finished_at",
    "phase",
    "memory_total",
    "memory_remaining",
    "disk_total",
    "disk_remaining",
    "iteration",
    "dirty_rate",
    "bandwidth",
    "downtime_ms",
    "total_ms",
    "method",
    "actions",
    "queue",
    "error_code",
    "error",
]
"""The keys other programs rely on, in their order."""


def test_a_guest_moves_by_one_command_and_goes_on_where_it_was(lab: Lab, roamer: str) -> None:
    source = lab.home_of(roamer)
    destination = lab.other(source)
    beats = len(lab.beats(roamer))

    moved = lab.move(roamer, destination)

    assert list(moved) == CONTRACT
    assert (moved["source"], moved["destination"]) == (source.name, destination.name)
    assert (moved["mode"], moved["method"], moved["error"]) == ("target", "precopy", None)
    assert moved["memory_remaining"] == 0
    assert moved["downtime_ms"] > 0
    assert lab.state_on(destination, roamer) == "running"
    assert lab.names_on(source) == []
    verify(lab)
    numbers = [int(beat["n"]) for beat in lab.beats(roamer)[beats - 1 :]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_it_moves_back_and_show_says_the_same_as_the_migration_did(lab: Lab, roamer: str) -> None:
    source = lab.home_of(roamer)
    moved = lab.move(roamer, lab.other(source))
    back = lab.move(roamer, source)

    assert lab.home_of(roamer) == source
    shown = lab.migrator("migration", "show", back["id"][:8], "-f", "json")
    assert shown.status == 0
    assert shown.json == back
    listed = lab.migrator("migration", "list", "-f", "json").json
    assert [each["id"] for each in listed[:2]] == [back["id"], moved["id"]]
    verify(lab)


def test_without_a_host_the_other_one_is_chosen(lab: Lab, roamer: str) -> None:
    source = lab.home_of(roamer)
    done = lab.migrator("migrate", roamer, "--wait", "-f", "json")
    assert done.status == 0, done.err
    assert done.json["mode"] == "auto"
    assert done.json["destination"] == lab.other(source).name
    assert lab.home_of(roamer) == lab.other(source)
    verify(lab)

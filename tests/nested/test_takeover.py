"""Two conductors: one freezes past its lease, the other takes over, the first wakes up."""

from __future__ import annotations

import re

import pytest

from tests.nested.lab import SLOWLY, Lab, Moving
from tests.nested.verify import verify

pytestmark = [pytest.mark.nested, pytest.mark.broker]


def leader(moving: Moving) -> str:
    """Who leads it, by its history."""
    return re.findall(r"(?:led|taken up) by (c\d)", moving.story())[-1]


def test_a_frozen_conductors_migration_is_taken_over_and_its_waking_changes_nothing(
    broker_lab: Lab, broker_roamer: str
) -> None:
    lab, source = broker_lab, broker_lab.home_of(broker_roamer)
    destination = lab.other(source)
    moving = lab.migrate(broker_roamer, destination, *SLOWLY)
    moving.until_memory_flows()
    frozen = leader(moving)
    lab.tool("stop", "conductor", frozen)
    try:
        moving.until(lambda _: leader(moving) != frozen)
        lab.hurry(broker_roamer, source)
        ended = moving.until_ended()
    finally:
        lab.tool("cont", "conductor", frozen)
    assert ended["state"] == "completed", moving.story()
    verify(lab)
    assert moving.show() == ended
    assert lab.home_of(broker_roamer) == destination
    lab.move(broker_roamer, source)
    verify(lab)

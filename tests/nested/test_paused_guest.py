"""A guest that its owner has paused stays paused."""

from __future__ import annotations

import pytest

from tests.nested.lab import Lab
from tests.nested.verify import verify

pytestmark = pytest.mark.nested


def test_a_paused_guest_arrives_paused_and_goes_on_when_it_is_resumed(
    lab: Lab, roamer: str
) -> None:
    source = lab.home_of(roamer)
    destination = lab.other(source)
    lab.virsh(source, "suspend", roamer)
    lab.guests[roamer] = "paused"
    beats = len(lab.beats(roamer))

    lab.move(roamer, destination)

    assert lab.virsh(destination, "domstate", "--reason", roamer) == "paused (user)"
    assert len(lab.beats(roamer)) == beats
    verify(lab)
    lab.virsh(destination, "resume", roamer)
    lab.guests[roamer] = "running"
    verify(lab)
    assert lab.home_of(roamer) == destination

"""The fleet is also driven with virsh; the service follows."""

from __future__ import annotations

import pytest

from tests.nested.lab import Lab
from tests.nested.verify import verify

pytestmark = pytest.mark.nested


def test_a_guest_that_was_moved_with_virsh_has_a_new_owner_and_can_move_on(
    lab: Lab, roamer: str
) -> None:
    source = lab.home_of(roamer)
    destination = lab.other(source)
    options = ("--live", "--p2p", "--persistent", "--undefinesource")
    lab.virsh(source, "migrate", *options, roamer, destination.peer_uri)

    verify(lab)
    assert lab.api("v1", "instances", roamer)["host"] == destination.name
    lab.move(roamer, source)
    verify(lab)


def test_a_guest_that_ended_is_gone_and_holds_nothing(lab: Lab) -> None:
    guest = lab.boot("passing", lab.hosts[0], "--memory", "128", "--transient")
    lab.virsh(lab.hosts[0], "destroy", guest)
    del lab.guests[guest]
    lab.await_gone(guest)
    verify(lab)

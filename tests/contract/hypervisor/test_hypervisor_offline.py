"""What every Hypervisor does with guests that are off: the fake, and libvirt itself."""

from __future__ import annotations

import pytest

from migrator.errors import Refused
from migrator.model import AttemptMark, DomainState
from tests.contract.hypervisor_fixtures import (
    GuestWish,
    World,
)

NOBODY = "00000000-1111-4222-8333-444444444445"
MARK = AttemptMark("0c6b9a0e-0000-4000-8000-000000000002", 1, False)


def test_a_guest_that_is_off_is_started_and_starting_again_is_success(world: World) -> None:
    host = world.source.hypervisor
    guest = world.start(GuestWish("started", running=False))
    assert host.view(guest).state is DomainState.SHUTOFF
    host.start(guest)
    host.start(guest)
    assert host.view(guest).state is DomainState.RUNNING


def test_a_guest_nobody_has_is_not_started(world: World) -> None:
    with pytest.raises(Refused) as refused:
        world.source.hypervisor.start(NOBODY)
    assert refused.value.code == "guest.not_active"


def test_shutting_down_what_is_off_is_success(world: World) -> None:
    host = world.source.hypervisor
    guest = world.start(GuestWish("off", running=False))
    host.shutdown(guest)
    host.shutdown(NOBODY)
    assert host.view(guest).state is DomainState.SHUTOFF


def test_a_guest_is_defined_on_the_other_host_off_and_as_it_was(world: World) -> None:
    guest = world.start(GuestWish("moved", running=False))
    described = world.source.hypervisor.describe(guest)
    assert described is not None
    assert described.inactive_xml is not None
    there = world.destination.hypervisor
    for _ in range(2):
        there.define(described.inactive_xml)
    view = there.view(guest)
    assert (view.state, view.persistent, view.name) == (DomainState.SHUTOFF, True, "moved")
    there.undefine(guest)
    assert there.view(guest).state is DomainState.ABSENT


def test_a_mark_of_a_guest_that_is_off_is_seen_and_goes(world: World) -> None:
    host = world.source.hypervisor
    guest = world.start(GuestWish("marked", running=False))
    host.set_mark(guest, MARK)
    assert host.view(guest).mark == MARK
    host.set_mark(guest, None)
    assert host.view(guest).mark is None

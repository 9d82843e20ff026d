"""What every Hypervisor does with guests that are off: the fake, and libvirt itself."""

from __future__ import annotations

import pytest

from migrator.compute_agent.offline_facts import SAVED_DIRECTORY
from migrator.compute_agent.ports import Hypervisor
from migrator.errors import Refused
from migrator.model import AttemptMark, DomainState, VolumeInfo
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


# ---------------------------------------------------------------- saved memory


def saved_file(host: Hypervisor, name: str) -> VolumeInfo | None:
    """The image, as a volume of its directory."""
    pool = host.open_directory(SAVED_DIRECTORY)
    try:
        return host.volume_info(pool, f"{name}.save")
    finally:
        host.close_directory(SAVED_DIRECTORY)


def saved(world: World, name: str) -> str:
    guest = world.start(GuestWish(name, persistent=True))
    world.save(world.source, guest)
    return guest


def test_a_guest_that_was_not_saved_has_no_image(world: World) -> None:
    host = world.source.hypervisor
    guest = world.start(GuestWish("unsaved", running=False))
    assert host.saved_xml(guest) is None
    assert host.saved_xml(NOBODY) is None
    assert saved_file(host, "unsaved") is None


def test_the_xml_in_a_saved_image_is_read_and_replaced(world: World) -> None:
    host = world.source.hypervisor
    guest = saved(world, "saved")
    assert host.view(guest).state is DomainState.SHUTOFF
    xml = host.saved_xml(guest)
    assert xml is not None
    assert "<title>" not in xml
    host.define_saved(guest, xml.replace("</uuid>", "</uuid><title>replaced</title>", 1))
    now = host.saved_xml(guest)
    assert now is not None
    assert "<title>replaced</title>" in now
    file = saved_file(host, "saved")
    assert file is not None
    assert file.length > 0


def test_what_no_guest_could_be_is_not_put_into_an_image(world: World) -> None:
    host = world.source.hypervisor
    guest = saved(world, "kept")
    before = host.saved_xml(guest)
    with pytest.raises(Refused) as refused:
        host.define_saved(guest, "<domain")
    assert refused.value.code == "domain.xml_invalid"
    assert host.saved_xml(guest) == before
    with pytest.raises(Refused) as nobody:
        host.define_saved(NOBODY, before or "")
    assert nobody.value.code == "guest.not_active"


def test_a_saved_guest_goes_on_from_its_image_which_is_used_up(world: World) -> None:
    host = world.source.hypervisor
    guest = saved(world, "going-on")
    host.start(guest)
    assert host.view(guest).state is DomainState.RUNNING
    assert host.saved_xml(guest) is None
    assert saved_file(host, "going-on") is None


def test_undefining_a_guest_whole_takes_its_image_and_is_success_again(world: World) -> None:
    host = world.source.hypervisor
    guest = saved(world, "leaving")
    for _ in range(2):
        host.undefine_whole(guest)
    assert host.view(guest).state is DomainState.ABSENT
    assert saved_file(host, "leaving") is None
    host.undefine_whole(NOBODY)


# ---------------------------------------------------------------- directories


def test_a_directory_is_a_pool_for_as_long_as_somebody_needs_it(world: World) -> None:
    host = world.source.hypervisor
    before = [pool.name for pool in host.pool_facts()]
    name = host.open_directory(SAVED_DIRECTORY)
    assert name not in before
    assert host.open_directory(SAVED_DIRECTORY) == name
    assert host.volume_info(name, "nothing") is None
    for _ in range(2):
        host.close_directory(SAVED_DIRECTORY)
    assert [pool.name for pool in host.pool_facts()] == before


def test_a_directory_that_a_pool_is_over_is_that_pool_and_stays(world: World) -> None:
    host = world.source.hypervisor
    (local,) = [pool for pool in host.pool_facts() if pool.name == "local"]
    assert local.path is not None
    assert host.open_directory(local.path) == "local"
    host.close_directory(local.path)
    assert "local" in [pool.name for pool in host.pool_facts()]


def test_a_directory_that_is_not_there_is_refused(world: World) -> None:
    host = world.source.hypervisor
    with pytest.raises(Refused) as refused:
        host.open_directory("/nowhere/at/all")
    assert refused.value.code == "pool.missing"
    host.close_directory("/nowhere/at/all")

"""What every Hypervisor does with a running transfer: the fake, and libvirt on hosts of the lab."""

from __future__ import annotations

import pytest

from migrator.compute_agent.ports import JobIteration
from migrator.errors import Broken, Transient
from migrator.model import DomainState, Reason, Sending
from tests.contract.hypervisor_fixtures import (
    GuestWish,
    Transfer,
    World,
    begin,
    eventually,
    lifecycle,
    plan,
)

NOBODY = "00000000-1111-4222-8333-444444444444"


def begin_postcopy(world: World, guest: str) -> Transfer:
    """The guest runs at the destination, and most of its memory is still at the source."""
    transfer = begin(world, guest, "postcopy")
    assert world.source.hypervisor.set_postcopy_speed(guest, 1)
    assert world.source.hypervisor.start_postcopy(guest)
    there = world.destination.hypervisor
    eventually(lambda: there.view(guest).reason is Reason.POSTCOPY)
    return transfer


def test_nothing_can_be_steered_where_nothing_runs(world: World) -> None:
    host = world.source.hypervisor
    for instance_id in (NOBODY, world.start(GuestWish("off", running=False))):
        assert not host.set_max_downtime(instance_id, 300)
        assert not host.start_postcopy(instance_id)
        assert not host.pause_postcopy(instance_id)


def test_a_running_transfer_tells_its_passes_takes_limits_and_needs_a_flag_for_post_copy(
    world: World,
) -> None:
    source, destination = world.source.hypervisor, world.destination.hypervisor
    guest = world.start(GuestWish(big=True))
    begin(world, guest)
    assert source.set_max_downtime(guest, 400)
    assert source.set_speed(guest, 2)
    assert source.set_postcopy_speed(guest, 3)
    assert not destination.set_max_downtime(guest, 400)
    assert not destination.set_speed(guest, 2)
    assert not source.start_postcopy(guest)
    assert source.view(guest).state is DomainState.RUNNING

    def told() -> bool:
        heard = [each for each in world.source.heard if isinstance(each, JobIteration)]
        return JobIteration(guest, 1) in heard

    eventually(told)
    source.suspend(guest)
    seen = source.view(guest)
    assert (seen.state, seen.reason) == (DomainState.PAUSED, Reason.MIGRATION), "as at the switch"
    eventually(lambda: ("suspended", "migrated") in lifecycle(world.source, guest))


def test_in_post_copy_the_guest_runs_over_there_and_every_page_follows(world: World) -> None:
    source, destination = world.source.hypervisor, world.destination.hypervisor
    guest = world.start(GuestWish(big=True))
    transfer = begin_postcopy(world, guest)
    seen = source.view(guest)
    assert (seen.state, seen.reason) == (DomainState.PAUSED, Reason.POSTCOPY)
    assert seen.job is not None
    assert destination.view(guest).state is DomainState.RUNNING
    assert not source.abort_job(guest)
    assert source.set_postcopy_speed(guest, 0)
    assert transfer.wait() is None
    assert source.view(guest).state is DomainState.ABSENT
    there = destination.view(guest)
    assert (there.state, there.reason) == (DomainState.RUNNING, Reason.MIGRATED)
    assert [each for each in lifecycle(world.destination, guest) if each[0] == "resumed"] == [
        ("resumed", "postcopy"),
        ("resumed", "migrated"),
    ]
    assert [each for each in lifecycle(world.source, guest) if each[0] == "suspended"] == [
        ("suspended", "migrated"),
        ("suspended", "postcopy"),
    ]


def test_a_broken_post_copy_is_resumed_once_the_first_call_has_returned(world: World) -> None:
    source, destination = world.source.hypervisor, world.destination.hypervisor
    guest = world.start(GuestWish(big=True))
    wanted = plan(world, guest, "postcopy")
    first = begin_postcopy(world, guest)
    world.cut()
    assert source.pause_postcopy(guest)
    eventually(lambda: source.view(guest).reason is Reason.POSTCOPY_FAILED)
    assert destination.view(guest).reason is Reason.POSTCOPY
    with pytest.raises(Transient) as busy:
        source.resume_postcopy(guest, wanted)
    assert busy.value.code == "guest.busy"
    world.heal()
    assert isinstance(first.wait(), Broken)
    assert destination.view(guest).reason is Reason.POSTCOPY_FAILED
    assert source.view(guest).job is not None
    second = Transfer(source, guest, wanted, resume=True)
    eventually(lambda: source.view(guest).reason is Reason.POSTCOPY)
    assert source.set_postcopy_speed(guest, 0)
    assert second.wait() is None
    assert source.view(guest).state is DomainState.ABSENT
    assert destination.view(guest).reason is Reason.MIGRATED


def test_what_is_not_broken_cannot_be_resumed(world: World) -> None:
    guest = world.start(GuestWish())
    with pytest.raises(Broken) as failure:
        world.source.hypervisor.resume_postcopy(guest, plan(world, guest, "postcopy"))
    assert failure.value.code == "transfer.failed"
    assert world.source.hypervisor.view(guest).state is DomainState.RUNNING


def test_a_dead_destination_qemu_in_post_copy_leaves_the_sources_half(world: World) -> None:
    source, destination = world.source.hypervisor, world.destination.hypervisor
    guest = world.start(GuestWish(big=True))
    transfer = begin_postcopy(world, guest)
    world.kill_qemu(world.destination, guest)
    assert isinstance(transfer.wait(), Broken)
    eventually(lambda: source.view(guest).reason is Reason.POSTCOPY_FAILED)
    assert not destination.view(guest).active


@pytest.mark.sweep
def test_a_dead_source_qemu_in_post_copy_leaves_a_guest_that_waits_for_ever(world: World) -> None:
    source, destination = world.source.hypervisor, world.destination.hypervisor
    guest = world.start(GuestWish(big=True))
    transfer = begin_postcopy(world, guest)
    world.kill_qemu(world.source, guest)
    assert isinstance(transfer.wait(), Broken)
    assert not source.view(guest).active
    eventually(lambda: destination.view(guest).reason is Reason.POSTCOPY_FAILED)


@pytest.mark.sweep
def test_a_dead_destination_libvirtd_in_post_copy_stops_no_page(world: World) -> None:
    source = world.source.hypervisor
    guest = world.start(GuestWish(big=True))
    transfer = begin_postcopy(world, guest)
    world.kill_libvirtd(world.destination)
    assert isinstance(transfer.wait(), Broken)
    eventually(lambda: source.view(guest).reason is Reason.POSTCOPY_FAILED)
    world.start_libvirtd(world.destination)
    eventually(world.destination.connected)
    assert source.set_postcopy_speed(guest, 0)
    eventually(lambda: world.destination.hypervisor.view(guest).reason is Reason.MIGRATED)
    eventually(lambda: not source.view(guest).active)


def test_a_dirty_rate_is_measured_without_a_transfer(world: World) -> None:
    rate = world.source.hypervisor.measure_dirty_rate(world.start(GuestWish()), 1)
    assert rate is not None
    assert rate >= 0


@pytest.mark.parametrize(
    ("flags", "sending", "on", "off"),
    [
        (("parallel",), Sending(3), "multifd", "xbzrle"),
        (("compressed",), Sending(compression="xbzrle", cache_mib=128), "xbzrle", "multifd"),
    ],
)
def test_memory_is_sent_in_the_way_that_was_asked_for(
    world: World, flags: tuple[str, ...], sending: Sending, on: str, off: str
) -> None:
    guest = world.start(GuestWish(big=True))
    transfer = begin(world, guest, *flags, sending=sending)
    switched_on = world.switched_on(guest)
    assert on in switched_on
    assert off not in switched_on
    assert world.source.hypervisor.abort_job(guest)
    assert isinstance(transfer.wait(), Broken)
    assert world.source.hypervisor.view(guest).state is DomainState.RUNNING


@pytest.mark.parametrize(
    ("flags", "sending", "why"),
    [
        ((), Sending(3), "Turn parallel migration on"),
        (("zerocopy",), Sending(zero_copy=True), "only available for parallel"),
        (("parallel", "compressed"), Sending(2, compression="zstd"), "zstd"),
        (("parallel", "zerocopy", "compressed"), Sending(2, True, "xbzrle"), "Zero copy only"),
    ],
)
def test_a_way_to_send_that_does_not_go_with_the_rest_is_refused_and_the_guest_stays(
    world: World, flags: tuple[str, ...], sending: Sending, why: str
) -> None:
    guest = world.start(GuestWish())
    wanted = plan(world, guest, *flags, sending=sending)
    refused = Transfer(world.source.hypervisor, guest, wanted).wait()
    assert isinstance(refused, Broken)
    assert why in refused.message
    assert world.source.hypervisor.view(guest).state is DomainState.RUNNING
    assert not world.destination.hypervisor.view(guest).active

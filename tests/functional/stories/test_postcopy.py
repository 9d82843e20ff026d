"""A guest whose memory is split between both hosts: whatever happens, it is one guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.errors import Refused
from migrator.messages import AbortMigration, ForceComplete, RescueMigration, Tune
from migrator.model import Reason
from migrator.rpc import Bus
from tests.fakes.hypervisor_signals import Signal
from tests.functional.stories.fleet import ServiceUnderTest


def split(service: ServiceUnderTest, stalled: bool = True) -> tuple[str, str]:
    """(guest, migration) in post-copy; no page moves while it is stalled."""
    service.fleet.postcopy_at_will = True
    service.fleet.hold()
    guest = service.add_guest("h1", "web1")
    moving = service.migrate("web1", host="h2")
    service.wait_for_state(moving.id, "running")
    service.fleet.stall(stalled)
    service.until(lambda: service.host("h1").start_postcopy(guest))
    if stalled:
        service.wait_for_state(moving.id, "postcopy")
    return guest, moving.id


def test_the_destination_owns_the_guest_from_the_moment_it_runs_there(
    tmp_path: Path, bus: Bus
) -> None:
    with ServiceUnderTest(tmp_path, bus) as service:
        guest, moving = split(service)
        assert service.show_instance("web1").host == "h2"
        assert service.claims() == [("h1", "web1", "leaving"), ("h2", "web1", "use")]
        view = service.show(moving)
        assert (view.phase, view.method) == ("postcopy", "postcopy")
        with pytest.raises(Refused) as refusal:
            service.client.abort(AbortMigration(id=moving))
        assert refusal.value.code == "abort.too_late"
        with pytest.raises(Refused) as refusal:
            service.client.force_complete(ForceComplete(id=moving))
        assert refusal.value.code == "force.too_late"
        with pytest.raises(Refused) as refusal:
            service.client.tune(Tune(id=moving, max_downtime_ms=100))
        assert refusal.value.code == "force.too_late"
        service.fleet.stall(False)
        ended = service.wait(moving)
        assert (ended.state, ended.method, ended.destination) == ("completed", "postcopy", "h2")
        assert service.known_on(guest) == ["h2"]
        assert service.claims() == [("h2", "web1", "use")]


def test_a_leader_that_takes_over_in_post_copy_finishes_it(tmp_path: Path, bus: Bus) -> None:
    with ServiceUnderTest(tmp_path, bus) as service:
        guest, moving = split(service)
        service.stop_conductor()
        service.start_conductor()
        service.stop_agent("h1")
        service.start_agent("h1")
        service.fleet.stall(False)
        assert service.wait(moving).state == "completed"
        assert service.running_on(guest) == ["h2"]


def test_a_broken_post_copy_is_shown_and_goes_on_once_the_destination_has_noticed(
    tmp_path: Path, bus: Bus
) -> None:
    with ServiceUnderTest(tmp_path, bus) as service:
        guest, moving = split(service)
        assert service.host("h1").pause_postcopy(guest)
        service.wait_for_state(moving, "postcopy_paused")
        shown = service.show(moving)
        assert shown.needs_attention is not None
        assert "interrupted" in shown.needs_attention
        assert service.show_instance("web1").host == "h2"
        assert service.client.rescue(RescueMigration(id=moving)).result == "accepted"
        service.fleet.stall(False)
        ended = service.wait(moving)
        assert (ended.state, ended.needs_attention) == ("completed", None)
        assert "resume_postcopy" in [action.action for action in ended.actions]
        assert service.running_on(guest) == ["h2"]


def test_a_post_copy_whose_link_is_cut_is_shown_and_left_to_its_connection(
    tmp_path: Path, bus: Bus
) -> None:
    with ServiceUnderTest(tmp_path, bus) as service:
        guest, moving = split(service)
        service.wait_for_state(moving, "postcopy_paused")
        shown = service.show(moving)
        assert shown.needs_attention is not None
        assert "interrupted" in shown.needs_attention
        assert service.client.rescue(RescueMigration(id=moving)).result == "accepted"
        assert service.host("h1").view(guest).reason is Reason.POSTCOPY, "nobody has broken it"
        service.fleet.stall(False)
        ended = service.wait(moving)
        assert (ended.state, ended.needs_attention) == ("completed", None)
        told = [each.result for each in ended.actions if each.action == "watch_postcopy"]
        assert told[0] == "waits for packets to pass"
        assert "resume_postcopy" not in [action.action for action in ended.actions]


def test_a_connection_that_only_the_destination_knows_to_be_dead_is_made_anew(
    tmp_path: Path, bus: Bus
) -> None:
    with ServiceUnderTest(tmp_path, bus) as service:
        guest, moving = split(service)
        service.fleet.signal(Signal.PEER_NOTICED)
        service.wait_for_state(moving, "postcopy_paused")
        service.fleet.stall(False)
        ended = service.wait(moving)
        assert (ended.state, ended.needs_attention) == ("completed", None)
        assert "resume_postcopy" in [action.action for action in ended.actions]
        assert service.running_on(guest) == ["h2"]


def test_a_daemon_that_dies_at_the_destination_destroys_nothing(tmp_path: Path, bus: Bus) -> None:
    with ServiceUnderTest(tmp_path, bus) as service:
        guest, moving = split(service)
        service.host("h2").kill_libvirtd()
        service.until(lambda: service.host("h1").view(guest).reason is Reason.POSTCOPY_FAILED)
        service.fleet.stall(False)
        service.until(lambda: not service.host("h1").view(guest).active)
        service.host("h2").start_libvirtd()
        assert service.wait(moving).state == "completed"
        assert service.running_on(guest) == ["h2"]


def test_a_qemu_that_dies_at_the_destination_is_a_loss_that_says_so(
    tmp_path: Path, bus: Bus
) -> None:
    with ServiceUnderTest(tmp_path, bus) as service:
        guest, moving = split(service)
        service.host("h2").kill_qemu(guest)
        ended = service.wait(moving)
        assert (ended.state, ended.error_code) == ("lost", "transfer.lost")
        assert ended.error is not None
        assert "MiB of it" in ended.error
        assert "start it again on h2" in ended.error
        service.until(lambda: service.known_on(guest) == ["h2"])
        service.until(lambda: service.claims() == [])
        service.until(lambda: service.show_instance("web1").status == "shutoff")
        # Also while only the source had a definition of it.
        assert service.show_instance("web1").host == "h2"


def test_a_qemu_that_dies_at_the_source_is_a_loss_too(tmp_path: Path, bus: Bus) -> None:
    with ServiceUnderTest(tmp_path, bus) as service:
        guest, moving = split(service)
        service.host("h1").kill_qemu(guest)
        ended = service.wait(moving)
        assert (ended.state, ended.error_code) == ("lost", "transfer.lost")
        assert ended.error is not None
        assert "destroy it on h2" in ended.error
        service.until(lambda: service.known_on(guest) == ["h2"])


def test_a_guest_paused_at_the_destination_in_post_copy_is_not_cut_off_from_its_memory(
    tmp_path: Path, bus: Bus
) -> None:
    with ServiceUnderTest(tmp_path, bus) as service:
        guest, moving = split(service)
        service.host("h2").suspend(guest)
        service.client.rescue(RescueMigration(id=moving))
        assert service.host("h1").view(guest).active
        assert service.show(moving).state == "postcopy"
        service.fleet.stall(False)
        assert service.wait(moving).state == "completed"


def test_what_is_not_split_needs_no_rescue(tmp_path: Path, bus: Bus) -> None:
    with ServiceUnderTest(tmp_path, bus) as service:
        service.fleet.hold()
        service.add_guest("h1", "web1")
        moving = service.migrate("web1", host="h2")
        service.wait_for_state(moving.id, "running")
        with pytest.raises(Refused) as refusal:
            service.client.rescue(RescueMigration(id=moving.id))
        assert refusal.value.code == "rescue.not_needed"
        service.fleet.release()
        assert service.wait(moving.id).state == "completed"

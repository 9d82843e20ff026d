"""A transfer from start to end, op by op; each op twice."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from migrator.compute_agent.progress import together
from migrator.errors import Broken, Refused, Transient
from migrator.messages import TransferProgress
from migrator.model import AttemptMark, DomainState, DomainView, JobSample, Reason
from tests.fakes.hypervisor import FAST, Signal
from tests.functional.agent.world import MIGRATION, World

OTHER = "7a52c0de-0000-4000-8000-000000000002"


def test_a_persistent_guest_moves_and_is_settled_there(world: World) -> None:
    world.h1.host.set_autostart(world.guest, True)
    assert not world.h1.start(world.h2, autostart=True).adopted
    world.until(world.arrived)
    for _ in range(2):
        finished = world.h2.finish(autostart=True)
        assert (finished.view.persistent, finished.view.autostart) == (True, True)
        assert finished.view.mark is None
        assert finished.statistics is not None
        assert finished.statistics.downtime_ms == 60
    for _ in range(2):
        released = world.h1.release()
        assert released.view.state is DomainState.ABSENT
        assert released.statistics is not None
        assert released.statistics.downtime_ms == 60
    assert world.guest not in world.h1.host.domains


def test_a_transient_guest_stays_transient(world: World) -> None:
    world.h1.host.domains[world.guest].inactive_xml = None
    world.h1.start(world.h2)
    world.until(world.arrived)
    assert not world.h2.finish(persistent=False).view.persistent
    assert world.h1.release().view.state is DomainState.ABSENT


def test_the_source_is_marked_and_loses_autostart_before_libvirt_has_the_job(
    world: World,
) -> None:
    world.h1.host.set_autostart(world.guest, True)
    world.fleet.hold()
    world.h1.start(world.h2, autostart=True)
    view = world.h1.host.view(world.guest)
    assert view.job is not None
    assert view.mark == AttemptMark(MIGRATION, 1, autostart=True)
    assert not view.autostart


def test_a_second_start_of_the_attempt_adopts_it(world: World) -> None:
    world.fleet.hold()
    assert not world.h1.start(world.h2).adopted
    assert world.h1.start(world.h2).adopted
    world.fleet.release()
    world.until(world.arrived)
    assert world.h1.start(world.h2).adopted


def test_a_start_that_fails_at_once_says_why_in_libvirts_words_and_leaves_no_trace(
    world: World,
) -> None:
    world.h1.host.set_autostart(world.guest, True)
    world.h1.host.fails["migrate"] = Broken("transfer.failed", "unable to connect to server")
    with pytest.raises(Broken) as caught:
        world.h1.start(world.h2, autostart=True)
    assert caught.value.code == "transfer.failed"
    assert "unable to connect to server" in caught.value.message
    view = world.h1.host.view(world.guest)
    assert (view.state, view.mark, view.autostart) == (DomainState.RUNNING, None, True)


def test_a_start_while_another_migration_moves_the_guest_is_refused(world: World) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    with pytest.raises(Refused) as caught:
        world.h1.start(world.h2, migration_id=OTHER)
    assert caught.value.code == "guest.busy"


def test_a_start_of_a_guest_that_was_shut_down_is_refused(world: World) -> None:
    world.h1.host.power_off(world.guest)
    with pytest.raises(Refused) as caught:
        world.h1.start(world.h2, plan=world.plan(world.h2, 1, False))
    assert caught.value.code == "guest.not_active"


def test_a_start_of_a_guest_that_is_gone_is_for_whoever_sees_both_hosts(world: World) -> None:
    plan = world.plan(world.h2, 1, False)
    world.h1.host.domains.clear()
    assert world.h1.start(world.h2, plan=plan).adopted


def test_progress_and_the_end_are_reported(world: World) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    world.until(lambda: bool(world.reports.progress))
    world.fleet.release()
    world.until(lambda: bool(world.reports.ended))
    (ended,) = world.reports.ended
    assert (ended.host, ended.migration_id, ended.attempt) == ("h1", MIGRATION, 1)
    assert (ended.ok, ended.error) == (True, None)
    assert ended.statistics is not None
    assert world.reports.progress[0].sample.operation == "migration_out"


def test_readings_of_several_transfers_travel_together_and_none_is_left_out() -> None:
    sample = JobSample(operation="migration_out")
    read = [
        TransferProgress(
            host="h1",
            migration_id=f"m{number}",
            attempt=1,
            sequence=number,
            sample=sample,
            every_s=2.0,
        )
        for number in range(3)
    ]
    message = together(read)
    readings = [(each.migration_id, each.sequence) for each in (message, *message.others)]
    assert readings == [("m0", 0), ("m1", 1), ("m2", 2)]
    assert message.every_s == 2.0
    assert together(read[:1]) == read[0]


def test_a_guest_that_dies_on_the_way_ends_the_transfer_with_libvirts_words(
    world: World,
) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    world.h1.host.kill_qemu(world.guest)
    world.until(lambda: bool(world.reports.ended))
    assert not world.reports.ended[0].ok
    assert world.reports.ended[0].error == Signal.SOURCE_GONE.value
    inspected = world.h1.inspect()
    assert inspected.view.state is DomainState.SHUTOFF
    assert inspected.transfer is not None
    assert (inspected.transfer.ended, inspected.transfer.ok) == (True, False)


def test_a_conductor_that_is_away_disturbs_no_transfer_and_hears_of_its_end_later(
    world: World,
) -> None:
    world.reports.away = True
    world.h1.start(world.h2)
    world.until(world.arrived)
    world.until(lambda: world.h1.state is DomainState.ABSENT)
    world.reports.away = False
    world.until(lambda: bool(world.reports.ended))
    assert world.reports.ended[0].ok


# ---------------------------------------------------------------- inspect


def test_inspecting_shows_both_sides_of_a_transfer(world: World) -> None:
    assert world.h2.inspect().view == DomainView(DomainState.ABSENT)
    world.fleet.hold()
    world.h1.start(world.h2)
    here = world.h1.inspect()
    assert here.view.job is not None
    assert here.transfer is not None
    assert not here.transfer.ended
    world.until(lambda: world.h2.inspect().view.state is DomainState.PAUSED)
    world.fleet.release()
    world.until(world.arrived)
    there = world.h2.inspect()
    assert there.view.reason is Reason.MIGRATED
    assert there.statistics is not None
    assert there.transfer is None


# ---------------------------------------------------------------- abort


def test_an_abort_leaves_the_source_as_it_was(world: World) -> None:
    world.h1.host.set_autostart(world.guest, True)
    world.fleet.hold()
    world.h1.start(world.h2, autostart=True)
    world.until(lambda: world.h2.state is DomainState.PAUSED)
    for _ in range(2):
        aborted = world.h1.abort(autostart=True)
        assert aborted.result == "aborted"
        assert aborted.view is not None
        assert aborted.view.state is DomainState.RUNNING
        assert (aborted.view.mark, aborted.view.autostart) == (None, True)
    assert world.h2.state is DomainState.ABSENT


def test_a_guest_that_an_earlier_switch_gave_back_runs_on_when_its_copy_is_aborted(
    world: World,
) -> None:
    world.h1.host.domains[world.guest].reason = Reason.MIGRATION_CANCELED
    world.fleet.hold()
    world.h1.start(world.h2)
    world.until(lambda: world.h2.state is DomainState.PAUSED)
    assert world.h1.abort().result == "aborted"
    assert world.h1.state is DomainState.RUNNING
    assert ("suspended", "paused") not in world.reports.names()
    assert world.h1.inspect().view.mark is None


def test_an_abort_before_anything_began_changes_nothing(world: World) -> None:
    assert world.h1.abort().result == "aborted"
    assert world.h1.state is DomainState.RUNNING


def test_an_abort_of_a_guest_that_never_was_here_is_nothing_to_do(world: World) -> None:
    assert world.h2.abort().result == "aborted"


def test_an_abort_after_the_switch_is_too_late(world: World) -> None:
    world.h1.start(world.h2)
    world.until(lambda: world.h1.state is DomainState.ABSENT)
    world.until(lambda: bool(world.reports.ended))
    assert world.h1.abort().result == "too_late"
    assert world.arrived()


def test_an_abort_of_a_guest_that_died_says_that_nothing_runs(world: World) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    world.h1.host.kill_qemu(world.guest)
    aborted = world.h1.abort()
    assert aborted.result == "aborted"
    assert aborted.view is not None
    assert (aborted.view.state, aborted.view.mark) == (DomainState.SHUTOFF, None)


def test_an_abort_that_a_frozen_qemu_blocks_is_asked_again(world: World) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    world.until(lambda: world.h2.state is DomainState.PAUSED)
    world.fleet.signal(Signal.FREEZE)
    with pytest.raises(Transient) as caught:
        world.h1.abort(deadline_s=0.3)
    assert caught.value.code == "guest.state_unknown"
    assert world.h1.inspect().transfer.abort_requested  # type: ignore[union-attr]
    world.fleet.signal(Signal.THAW)
    assert world.h1.abort().result == "aborted"


def test_an_abort_leaves_another_migrations_mark(world: World) -> None:
    mark = AttemptMark(OTHER, 1, autostart=False)
    world.h1.host.set_mark(world.guest, mark)
    assert world.h1.abort().result == "aborted"
    assert world.h1.host.view(world.guest).mark == mark


def test_an_abort_of_a_switch_nobody_carries_on_waits_for_someone_who_knows(
    world: World,
) -> None:
    world.h1.host.set_mark(world.guest, AttemptMark(MIGRATION, 1, autostart=False))
    domain = world.h1.host.domains[world.guest]
    domain.state, domain.reason = DomainState.PAUSED, Reason.MIGRATION
    with pytest.raises(Transient) as caught:
        world.h1.abort()
    assert caught.value.code == "guest.state_unknown"
    assert world.h1.host.view(world.guest).mark is not None


# ---------------------------------------------------------------- fence_source


def test_the_paused_source_is_destroyed_and_the_transfer_still_ends_well() -> None:
    slow = World(timing=replace(FAST, linger_s=5.0))
    slow.add_guest()
    slow.start()
    slow.h1.start(slow.h2)
    slow.until(slow.arrived)
    assert slow.h1.fence().result == "destroyed"
    assert slow.h1.fence().result == "gone"
    slow.until(lambda: bool(slow.reports.ended))
    assert slow.reports.ended[0].ok
    assert slow.arrived()
    slow.stop()


def test_a_source_that_libvirt_let_run_again_is_held_until_the_destination_was_looked_at(
    world: World,
) -> None:
    world.fleet.lose_replies = True
    world.h1.start(world.h2)
    world.until(lambda: bool(world.reports.ended))
    assert not world.reports.ended[0].ok
    assert world.arrived()
    assert world.h1.state is DomainState.PAUSED
    view = world.h1.inspect()
    assert view.transfer is not None
    assert not view.transfer.paused_by_user
    told = world.reports.actions
    world.until(lambda: ("hold", "switch_given_up") in [(each.action, each.rule) for each in told])
    assert world.h1.abort().result == "aborted"
    assert world.h1.state is DomainState.PAUSED
    assert world.h1.inspect().view.mark is not None
    assert world.h1.abort(step="looked", looked=True).result == "aborted"
    assert world.h1.state is DomainState.RUNNING
    assert world.h1.inspect().view.mark is None


def test_a_source_that_runs_beside_the_destination_is_destroyed_and_said_so(
    world: World,
) -> None:
    world.fleet.lose_replies = True
    world.h1.start(world.h2)
    world.until(lambda: bool(world.reports.ended))
    # By hand, before anybody has looked.
    world.h1.host.resume(world.guest)
    assert world.arrived()
    assert world.h1.fence().result == "may_have_returned"
    assert world.h1.state is DomainState.RUNNING
    assert world.h1.fence(sure=True, step="sure").result == "destroyed_running"
    assert world.h1.state is DomainState.SHUTOFF
    assert world.arrived()


def test_fencing_does_not_wait_behind_an_abort_that_waits_for_the_transfer(
    world: World,
) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    world.until(lambda: world.h2.state is DomainState.PAUSED)
    world.fleet.signal(Signal.FREEZE)
    aborting = world.concurrency.spawn("abort", lambda: _abort_in_vain(world))
    world.until(lambda: world.h1.inspect().transfer.abort_requested)  # type: ignore[union-attr]
    assert world.h1.fence(sure=True, deadline_s=2.0).result == "destroyed_running"
    world.fleet.signal(Signal.THAW)
    assert aborting.join(10.0)


def _abort_in_vain(world: World) -> None:
    """The guest it would give back to its source is destroyed meanwhile; how that ends is not the
    point."""
    with contextlib.suppress(Transient):
        world.h1.abort(deadline_s=10.0)


def test_a_domain_that_is_not_this_attempts_is_never_destroyed(world: World) -> None:
    with pytest.raises(Refused) as caught:
        world.h1.fence()
    assert caught.value.code == "command.stale"
    world.h1.host.set_mark(world.guest, AttemptMark(MIGRATION, 2, autostart=False))
    with pytest.raises(Refused):
        world.h1.fence()
    world.h1.host.set_mark(world.guest, AttemptMark(OTHER, 1, autostart=False))
    with pytest.raises(Refused):
        world.h1.fence()
    assert world.h1.state is DomainState.RUNNING


def test_what_is_shut_off_or_absent_needs_no_fence(world: World) -> None:
    assert world.h2.fence().result == "gone"
    world.h1.host.power_off(world.guest)
    assert world.h1.fence().result == "gone"
    assert world.guest in world.h1.host.domains


def test_fencing_destroys_even_what_cannot_be_paused(world: World) -> None:
    world.h1.host.set_mark(world.guest, AttemptMark(MIGRATION, 1, autostart=False))
    world.h1.host.fails["suspend"] = Transient("libvirt.timeout", "QEMU does not answer")
    assert world.h1.fence(sure=True).result == "destroyed_running"


# ---------------------------------------------------------------- finish_destination


def test_a_guest_that_vanished_after_its_move_is_said_to_be_gone(world: World) -> None:
    with pytest.raises(Refused) as caught:
        world.h2.finish()
    assert caught.value.code == "instance.gone"


def test_a_guest_shut_down_by_its_owner_after_the_move_is_settled(world: World) -> None:
    world.h1.start(world.h2)
    world.until(world.arrived)
    world.h2.host.power_off(world.guest)
    finished = world.h2.finish(autostart=True)
    assert finished.view.state is DomainState.SHUTOFF
    assert (finished.view.autostart, finished.view.mark) == (True, None)


def test_a_guest_that_should_be_defined_and_is_not_yet_is_retried(world: World) -> None:
    world.h1.start(world.h2)
    world.until(world.arrived)
    domain = world.h2.host.domains[world.guest]
    definition, domain.inactive_xml = domain.inactive_xml, None
    with pytest.raises(Transient):
        world.h2.finish()
    domain.inactive_xml = definition
    assert world.h2.finish().view.persistent


def test_a_guest_that_is_still_arriving_is_retried(world: World) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    world.until(lambda: world.h2.state is DomainState.PAUSED)
    with pytest.raises(Transient):
        world.h2.finish(deadline_s=0.2)


def test_a_libvirt_that_refuses_to_write_for_a_moment_is_waited_for(world: World) -> None:
    world.h1.start(world.h2)
    world.until(world.arrived)
    busy = Transient("libvirt.error", "a job runs on the domain; it cannot be changed now")
    world.h2.host.fails["set_mark"] = busy
    with pytest.raises(Transient):
        world.h2.finish(deadline_s=0.2)

    def mend() -> None:
        world.clock.sleep(0.2)
        del world.h2.host.fails["set_mark"]

    world.concurrency.spawn("mend", mend)
    assert world.h2.finish().view.mark is None


def test_a_guest_its_user_paused_since_stays_paused(world: World) -> None:
    world.h1.start(world.h2)
    world.until(world.arrived)
    world.h2.host.suspend(world.guest)
    assert world.h2.finish().view.reason is Reason.USER


def test_another_migrations_mark_stays(world: World) -> None:
    mark = AttemptMark(OTHER, 1, autostart=False)
    world.h1.host.set_mark(world.guest, mark)
    assert world.h1.finish().view.mark == mark


# ---------------------------------------------------------------- release_source


def test_a_definition_that_stayed_is_undefined(world: World) -> None:
    world.h1.host.set_mark(world.guest, AttemptMark(MIGRATION, 1, autostart=False))
    world.h1.host.power_off(world.guest)
    world.h1.release()
    assert world.guest not in world.h1.host.domains


@pytest.mark.parametrize("running", [True, False])
def test_a_guest_that_came_back_by_other_hands_is_left_alone(world: World, running: bool) -> None:
    if not running:
        world.h1.host.power_off(world.guest)
    assert world.h1.release().view.active is running
    assert world.h1.host.view(world.guest).persistent
    assert world.h1.host.view(world.guest).active is running


def test_a_guest_that_came_back_with_its_mark_loses_the_mark_and_is_left_alone(
    world: World,
) -> None:
    world.h1.host.set_mark(world.guest, AttemptMark(MIGRATION, 1, autostart=True))
    released = world.h1.release().view
    assert (released.state, released.mark, released.autostart) == (DomainState.RUNNING, None, True)


def test_a_source_that_is_still_there_is_waited_for_and_then_retried(world: World) -> None:
    world.h1.host.set_mark(world.guest, AttemptMark(MIGRATION, 1, autostart=False))
    domain = world.h1.host.domains[world.guest]
    domain.state, domain.reason = DomainState.PAUSED, Reason.MIGRATION
    with pytest.raises(Transient) as caught:
        world.h1.release(deadline_s=0.2)
    assert caught.value.code == "guest.busy"


# ---------------------------------------------------------------- undo_destination


def test_a_half_filled_domain_of_this_attempt_is_removed_once(world: World) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    world.until(lambda: world.h2.state is DomainState.PAUSED)
    assert world.h2.undo(attempt=2).removed == []
    assert world.h2.state is DomainState.PAUSED
    assert world.h2.undo().removed == ["the half-filled domain web1"]
    assert world.h2.undo().removed == []
    world.until(lambda: bool(world.reports.ended))
    assert world.h1.state is DomainState.RUNNING


def test_a_definition_of_this_attempt_is_removed(world: World) -> None:
    world.h1.host.set_mark(world.guest, AttemptMark(MIGRATION, 1, autostart=False))
    world.h1.host.power_off(world.guest)
    assert world.h1.undo().removed == ["the definition of web1"]
    assert world.guest not in world.h1.host.domains


def test_a_guest_that_arrived_is_never_undone(world: World) -> None:
    world.h1.start(world.h2)
    world.until(world.arrived)
    with pytest.raises(Refused) as caught:
        world.h2.undo()
    assert caught.value.code == "abort.too_late"
    world.h2.host.suspend(world.guest)
    with pytest.raises(Refused):
        world.h2.undo()
    assert world.h2.state is DomainState.PAUSED


def test_a_strangers_domain_is_left_alone(world: World) -> None:
    assert world.h1.undo().removed == []
    assert world.h1.state is DomainState.RUNNING

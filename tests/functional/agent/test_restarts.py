"""An agent that dies takes nothing with it: the next one finds what libvirt does meanwhile."""

from __future__ import annotations

from dataclasses import replace

from migrator.messages import RestoreSource, TransferPlan
from migrator.model import AttemptMark, DomainState, Reason
from tests.functional.agent.world import MIGRATION, World

UNUSED = TransferPlan(
    peer_uri="",
    migrate_uri="",
    listen_address="",
    destination_xml="",
    persistent_xml=None,
    flags=[],
)
"""Any plan: nothing is started with it."""


def begin(world: World) -> None:
    """A transfer under way, then another agent process on its source."""
    world.fleet.hold()
    world.h1.start(world.h2)
    world.until(lambda: world.h2.state is DomainState.PAUSED)
    world.h1.restart()
    world.until(lambda: world.h1.inspect().transfer is not None)


def test_the_running_transfer_is_adopted_and_watched(world: World) -> None:
    begin(world)
    transfer = world.h1.inspect().transfer
    assert transfer is not None
    assert (transfer.migration_id, transfer.attempt) == (MIGRATION, 1)
    assert not transfer.ended
    world.reports.progress.clear()
    world.until(lambda: bool(world.reports.progress))


def test_progress_goes_on_above_what_the_former_process_said(world: World) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    world.until(lambda: bool(world.reports.progress))
    highest = world.reports.progress[-1].sequence
    world.h1.restart()
    world.reports.progress.clear()
    # What the former process had under way when it ended may still arrive.
    world.until(lambda: any(each.sequence > highest for each in world.reports.progress))
    assert world.reports.progress[-1].sequence > highest


def test_its_end_is_reported_with_libvirts_statistics(world: World) -> None:
    begin(world)
    world.fleet.release()
    world.until(lambda: bool(world.reports.ended))
    (ended,) = world.reports.ended
    assert (ended.migration_id, ended.attempt, ended.ok) == (MIGRATION, 1, True)
    assert ended.statistics is not None
    released = world.h1.release()
    assert released.view.state is DomainState.ABSENT
    assert released.statistics is not None


def test_a_start_that_is_repeated_to_the_new_process_adopts(world: World) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    world.h1.restart()
    assert world.h1.start(world.h2).adopted
    world.fleet.release()
    world.until(world.arrived)


def test_an_abort_to_the_new_process_stops_what_the_former_began(world: World) -> None:
    world.h1.host.set_autostart(world.guest, True)
    world.fleet.hold()
    world.h1.start(world.h2, autostart=True)
    world.until(lambda: world.h2.state is DomainState.PAUSED)
    world.h1.restart()
    aborted = world.h1.abort(autostart=True)
    assert aborted.result == "aborted"
    assert aborted.view is not None
    assert (aborted.view.mark, aborted.view.autostart) == (None, True)
    assert world.h2.state is DomainState.ABSENT
    world.until(lambda: bool(world.reports.ended))
    assert not world.reports.ended[0].ok


def test_a_mark_without_a_job_means_that_nothing_runs(world: World) -> None:
    begin(world)
    world.h1.abort()
    world.h1.host.set_mark(world.guest, world.h2.host.view(world.guest).mark)
    world.h1.restart()
    assert world.h1.inspect().transfer is None
    assert world.h1.abort().result == "aborted"


def test_a_transfer_that_ended_in_between_leaves_a_truthful_source(world: World) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    world.until(lambda: world.h2.state is DomainState.PAUSED)
    world.h1.die()
    world.fleet.release()
    world.until(lambda: world.h1.state is DomainState.ABSENT)
    world.h1.restart()
    inspected = world.h1.inspect()
    assert inspected.view.state is DomainState.ABSENT
    assert inspected.transfer is None
    assert world.h1.start(world.h2, plan=UNUSED).adopted
    assert world.h1.release().view.state is DomainState.ABSENT
    assert world.h2.finish().view.reason is Reason.MIGRATED


def test_a_source_libvirt_that_restarts_ends_the_transfer_and_the_guest_stays(
    world: World,
) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    world.until(lambda: world.h2.state is DomainState.PAUSED)
    world.h1.host.kill_libvirtd()
    world.h1.host.start_libvirtd()
    world.until(lambda: bool(world.reports.ended))
    assert not world.reports.ended[0].ok
    assert "unknown: adopted" in (world.reports.ended[0].error or "")
    assert world.h1.abort().result == "aborted"
    assert world.h1.state is DomainState.RUNNING


def test_a_destination_libvirt_that_restarts_fails_the_transfer_with_libvirts_words(
    world: World,
) -> None:
    world.fleet.hold()
    world.h1.start(world.h2)
    world.until(lambda: world.h2.state is DomainState.PAUSED)
    world.h2.host.kill_libvirtd()
    world.until(lambda: bool(world.reports.ended))
    assert world.reports.ended[0].error == "End of file while reading data: Input/output error"
    assert world.h1.abort().result == "aborted"


def resumed_while_nobody_watched(world: World) -> None:
    """The guest runs in both places: libvirt has let it run again at its source, whose agent is dead."""
    world.fleet.lose_replies = True
    world.fleet.hold()
    world.h1.start(world.h2)
    world.until(lambda: world.h2.state is DomainState.PAUSED)
    world.h1.die()
    world.fleet.release()
    world.until(lambda: world.h1.host.view(world.guest).reason is Reason.MIGRATION_CANCELED)
    assert world.arrived()


def test_a_guest_that_libvirt_let_run_meanwhile_is_held_by_the_new_process(world: World) -> None:
    resumed_while_nobody_watched(world)
    world.h1.restart()
    world.until(lambda: world.h1.state is DomainState.PAUSED)
    world.until(lambda: bool(world.reports.ended))
    assert not world.reports.ended[0].ok
    assert world.h1.abort().result == "aborted"
    assert world.h1.state is DomainState.PAUSED
    assert world.h1.fence().result == "may_have_returned"
    assert world.h1.fence(sure=True, step="sure").result == "destroyed_running"
    assert world.arrived()


def test_a_guest_whose_holding_was_begun_is_held_by_the_new_process(world: World) -> None:
    resumed_while_nobody_watched(world)
    mark = world.h1.host.view(world.guest).mark
    assert mark is not None
    world.h1.host.set_mark(world.guest, replace(mark, held=True))
    world.h1.restart()
    world.until(lambda: world.h1.state is DomainState.PAUSED)


def held_and_restarted(world: World) -> None:
    world.fleet.lose_replies = True
    world.h1.start(world.h2)
    world.until(lambda: bool(world.reports.ended))
    world.h1.restart()


def test_the_new_process_knows_that_a_guest_is_held(world: World) -> None:
    held_and_restarted(world)
    assert world.h1.abort().result == "aborted"
    assert world.h1.state is DomainState.PAUSED
    assert world.h1.abort(step="looked", looked=True).result == "aborted"
    assert (world.h1.state, world.h1.inspect().view.mark) == (DomainState.RUNNING, None)


def test_a_guest_that_is_held_is_not_sent_a_second_time(world: World) -> None:
    held_and_restarted(world)
    assert world.h1.start(world.h2, plan=UNUSED).adopted
    assert world.h1.state is DomainState.PAUSED


def test_the_next_attempt_lets_a_held_guest_run(world: World) -> None:
    held_and_restarted(world)
    world.h2.host.destroy(world.guest)
    world.h2.host.undefine(world.guest)
    world.fleet.lose_replies = False
    world.fleet.hold()
    world.h1.start(world.h2, attempt=2)
    assert world.h1.state is DomainState.RUNNING
    world.fleet.release()


def test_bringing_back_a_guest_that_was_held_for_an_earlier_switch_lets_it_run(
    world: World,
) -> None:
    """libvirt remembers that switch until the guest is paused or resumed again."""
    domain = world.h1.host.domains[world.guest]
    domain.reason = Reason.MIGRATION_CANCELED
    world.h1.host.set_mark(world.guest, AttemptMark(MIGRATION, 1, autostart=False))
    world.h1.restart()
    world.until(lambda: world.h1.state is DomainState.PAUSED)
    request = world.h1.command(RestoreSource, autostart=False, running=True)
    restored = world.h1.agent.endpoint.restore_source(request).view
    assert (restored.state, restored.mark) == (DomainState.RUNNING, None)

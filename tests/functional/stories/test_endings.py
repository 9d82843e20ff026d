"""A migration that does not go as planned still ends truthfully."""

from __future__ import annotations

from dataclasses import replace

import pytest

from migrator.compute_agent.numbering import Numbering
from migrator.conductor.ports import Heard
from migrator.conductor.settling import Settling
from migrator.db.stores import open_stores
from migrator.errors import Refused
from migrator.messages import AbortMigration
from migrator.model import DomainState, DomainSummary, Reason
from migrator.threads import SystemClock, Threads
from tests.functional.stories.fleet import ServiceUnderTest


def untouched(service: ServiceUnderTest, guest: str, running: bool = True) -> None:
    """The guest is where it was and nothing is left of the attempt."""
    assert service.running_on(guest) == (["h1"] if running else [])
    assert service.host("h1").view(guest).state == ("running" if running else "paused")
    assert service.known_on(guest) == ["h1"]
    service.until(lambda: service.host("h1").view(guest).mark is None)
    assert service.claims() == [("h1", "web1", "use")]
    assert service.show_instance("web1").host == "h1"


def test_an_abort_while_running_leaves_the_guest_on_the_source(service: ServiceUnderTest) -> None:
    guest = service.add_guest("h1", "web1", autostart=True)
    service.fleet.hold()
    migration = service.migrate("web1", host="h2")
    service.wait_for_state(migration.id, "running")
    answer = service.client.abort(AbortMigration(id=migration.id, by="alice"))
    assert answer.result == "accepted"
    ended = service.wait(migration.id)
    assert (ended.state, ended.error) == ("cancelled", "aborted by alice")
    untouched(service, guest)
    assert service.host("h1").view(guest).autostart
    service.fleet.release()
    assert service.wait(service.migrate("web1", host="h2").id).state == "completed"


def test_an_abort_that_only_stands_in_the_record_is_found_there(service: ServiceUnderTest) -> None:
    """Another conductor was asked, and its word to the one that leads was lost."""
    guest = service.add_guest("h1", "web1")
    service.fleet.hold()
    migration = service.migrate("web1", host="h2")
    service.wait_for_state(migration.id, "running")
    another = open_stores(service.database, service.clock.now)
    another.journal.ask_abort(migration.id, "alice")
    ended = service.wait(migration.id)
    assert (ended.state, ended.error) == ("cancelled", "aborted by alice")
    untouched(service, guest)


@pytest.mark.parametrize("resumed", [False, True], ids=["left paused", "resumed again"])
def test_a_guest_its_user_paused_mid_copy_is_as_the_user_left_it_when_the_copy_breaks_off(
    service: ServiceUnderTest, resumed: bool
) -> None:
    """libvirt lets it run whenever it gives a transfer up, whoever had paused it."""
    guest, moving = _paused_mid_copy(service)
    if resumed:
        service.host("h1").resume(guest)
        service.until(lambda: "user_resume" in _actions(service, moving))
    service.client.abort(AbortMigration(id=moving, by="alice"))
    ended = service.wait(moving)
    assert (ended.state, ended.needs_attention) == ("cancelled", None)
    untouched(service, guest, running=resumed)


def test_a_guest_that_is_paused_again_after_a_broken_transfer_is_told_to_be_paused(
    service: ServiceUnderTest,
) -> None:
    guest, moving = _paused_mid_copy(service)
    service.host("h2").kill_libvirtd()
    service.host("h2").start_libvirtd()
    ended = service.wait(moving)
    assert (ended.state, ended.error_code) == ("failed", "transfer.failed")
    assert ended.error is not None
    assert ended.error.endswith("the guest is paused on h1, as its user has left it")
    untouched(service, guest, running=False)


def _paused_mid_copy(service: ServiceUnderTest) -> tuple[str, str]:
    """A guest, and the id of its migration, once that knows that the guest's user has paused it."""
    guest = service.add_guest("h1", "web1")
    service.fleet.hold()
    # So slow that what is left is far more than a switch would take.
    service.fleet.timing = replace(service.fleet.timing, copy_s=60.0)
    migration = service.migrate("web1", host="h2")
    service.wait_for_state(migration.id, "running")
    service.host("h1").suspend(guest)
    service.until(lambda: "user_pause" in _actions(service, migration.id))
    return guest, migration.id


def _actions(service: ServiceUnderTest, migration_id: str) -> list[str]:
    return [each.action for each in service.show(migration_id).actions]


def test_an_abort_of_what_has_ended_is_refused(service: ServiceUnderTest) -> None:
    service.add_guest("h1", "web1")
    migration = service.wait(service.migrate("web1").id)
    with pytest.raises(Refused) as refused:
        service.client.abort(AbortMigration(id=migration.id))
    assert refused.value.code == "migration.finished"


def test_a_destination_whose_libvirt_dies_leaves_the_guest_on_the_source(
    service: ServiceUnderTest,
) -> None:
    guest = service.add_guest("h1", "web1")
    service.fleet.hold()
    migration = service.migrate("web1", host="h2")
    service.wait_for_state(migration.id, "running")
    service.host("h2").kill_libvirtd()
    service.host("h2").start_libvirtd()
    ended = service.wait(migration.id)
    assert (ended.state, ended.error_code) == ("failed", "transfer.failed")
    untouched(service, guest)


def test_a_guest_that_powers_off_mid_copy_ends_failed_where_it_was(
    service: ServiceUnderTest,
) -> None:
    guest = service.add_guest("h1", "web1")
    service.fleet.hold()
    migration = service.migrate("web1", host="h2")
    service.wait_for_state(migration.id, "running")
    service.host("h1").power_off(guest)
    ended = service.wait(migration.id)
    assert (ended.state, ended.error_code) == ("failed", "guest.died")
    service.until(lambda: service.show_instance("web1").status == "shutoff")
    assert service.show_instance("web1").host == "h1"
    assert service.known_on(guest) == ["h1"]
    assert service.claims() == []


def test_replies_lost_at_the_switch_never_leave_two_running(service: ServiceUnderTest) -> None:
    guest = service.add_guest("h1", "web1")
    service.fleet.lose_replies = True
    ended = service.wait(service.migrate("web1", host="h2").id)
    assert (ended.state, ended.destination) == ("completed", "h2")
    assert service.running_on(guest) == ["h2"]
    assert service.known_on(guest) == ["h2"]


def test_a_paused_guest_arrives_paused(service: ServiceUnderTest) -> None:
    guest = service.add_guest("h1", "web1")
    service.host("h1").suspend(guest)
    service.until(lambda: service.show_instance("web1").status == "paused")
    ended = service.wait(service.migrate("web1", host="h2").id)
    assert ended.state == "completed"
    assert service.host("h2").view(guest).state == "paused"
    assert service.known_on(guest) == ["h2"]


def test_a_conductor_that_restarts_mid_transfer_finishes_it(service: ServiceUnderTest) -> None:
    guest = service.add_guest("h1", "web1")
    service.fleet.hold()
    migration = service.migrate("web1", host="h2")
    service.wait_for_state(migration.id, "running")
    service.stop_conductor()
    service.start_conductor()
    service.fleet.release()
    assert service.wait(migration.id).state == "completed"
    assert service.running_on(guest) == ["h2"]
    assert service.claims() == [("h2", "web1", "use")]


def test_a_transfer_that_ends_while_no_conductor_is_there_is_found(
    service: ServiceUnderTest,
) -> None:
    guest = service.add_guest("h1", "web1")
    service.fleet.hold()
    migration = service.migrate("web1", host="h2")
    service.wait_for_state(migration.id, "running")
    service.stop_conductor()
    service.fleet.release()
    service.until(lambda: service.running_on(guest) == ["h2"])
    service.start_conductor()
    assert service.wait(migration.id).state == "completed"
    assert service.known_on(guest) == ["h2"]


def test_a_source_agent_that_restarts_mid_transfer_adopts_it(service: ServiceUnderTest) -> None:
    guest = service.add_guest("h1", "web1")
    service.fleet.hold()
    migration = service.migrate("web1", host="h2")
    service.wait_for_state(migration.id, "running")
    service.stop_agent("h1")
    service.start_agent("h1")
    service.fleet.release()
    assert service.wait(migration.id).state == "completed"
    assert service.running_on(guest) == ["h2"]


def test_a_guest_moved_by_hand_changes_its_owner(service: ServiceUnderTest) -> None:
    guest = service.add_guest("h1", "web1")
    service.host("h1").destroy(guest)
    service.host("h1").undefine(guest)
    service.until(lambda: service.show_instance("web1").status == "gone")
    assert service.claims() == []
    service.add_guest("h2", "web1", id=guest)
    service.until(lambda: service.show_instance("web1").host == "h2")
    assert service.claims() == [("h2", "web1", "use")]


def test_a_flag_raised_by_a_conductor_that_died_is_lowered_by_the_next(
    service: ServiceUnderTest,
) -> None:
    service.add_guest("h1", "web1")
    service.fleet.hold()
    migration = service.migrate("web1", host="h2")
    service.wait_for_state(migration.id, "running")
    service.stop_agent("h1")
    service.until(lambda: service.show(migration.id).needs_attention is not None)
    service.stop_conductor()
    service.start_conductor()
    service.start_agent("h1")
    service.until(lambda: service.show(migration.id).needs_attention is None)
    assert service.show(migration.id).state == "running"
    service.fleet.release()
    assert service.wait(migration.id).state == "completed"


def word_of_now() -> int:
    return Numbering(SystemClock(), Threads()).next()


def test_two_hosts_words_of_different_moments_are_no_split_brain(
    service: ServiceUnderTest,
) -> None:
    guest = service.add_guest("h1", "web1")
    context = service.conductor.context
    stale = DomainSummary(guest, "web1", DomainState.RUNNING, Reason.BOOTED, True, 1, 256)
    context.stores.instances.record_look("h2", guest, stale, word_of_now())
    Settling(context).settle(guest)
    shown = service.show_instance("web1")
    assert (shown.host, shown.status) == ("h1", "running")


def test_an_agent_is_heard_though_the_clock_of_the_one_before_it_was_ahead(
    service: ServiceUnderTest,
) -> None:
    guest = service.add_guest("h1", "web1")
    an_hour_ahead = word_of_now() + 3_600_000_000
    (there,) = [each for each in service.host("h1").list_domains() if each.id == guest]
    instances = service.conductor.context.stores.instances
    heard = Heard(service.agents["h1"][0].incarnation, an_hour_ahead)
    instances.record_sightings("h1", [there], heard)
    instances.record_look("h1", guest, there, an_hour_ahead + 1_000_000)
    service.stop_agent("h1")
    service.start_agent("h1")
    service.host("h1").power_off(guest)
    service.until(lambda: service.show_instance("web1").status == "shutoff")


def test_an_inventory_older_than_an_event_makes_no_guest_gone(service: ServiceUnderTest) -> None:
    guest = service.add_guest("h1", "web1")
    context = service.conductor.context
    context.stores.instances.record_look("h1", guest, None, word_of_now())
    Settling(context).settle(guest)
    shown = service.show_instance("web1")
    assert (shown.host, shown.status) == ("h1", "running")
    assert service.claims() == [("h1", "web1", "use")]

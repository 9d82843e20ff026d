"""Guests move while they are off, or are stopped for it; and may be brought back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.errors import Broken, MigratorError, Refused, Transient
from migrator.messages import (
    AbortMigration,
    ConfirmMigration,
    Migrate,
    MigrationView,
    RevertMigration,
    Tune,
)
from migrator.model import DomainState, Reason, Tuning
from migrator.rpc import Bus
from migrator.states import MigrationState
from tests.functional.stories.boundaries import DONE, Gate, at
from tests.functional.stories.cold import (
    EVERYTHING,
    MEMORY,
    MIB,
    QCOW2,
    claims,
    cold,
    furnish,
    guest,
    local,
    owner,
    reached,
    real,
    saved,
    service_with,
    state_files,
    state_on,
    undone,
)
from tests.functional.stories.fleet import ServiceUnderTest


@pytest.fixture
def service(tmp_path: Path, bus: Bus) -> Iterator[ServiceUnderTest]:
    with service_with(tmp_path, bus) as started:
        furnish(started)
        yield started


@pytest.fixture
def keeping(tmp_path: Path, bus: Bus) -> Iterator[ServiceUnderTest]:
    """One that keeps the source for an hour."""
    with service_with(tmp_path, bus, cold_confirm_s=3600.0) as started:
        furnish(started)
        yield started


def test_a_guest_that_is_off_moves_and_stays_off(service: ServiceUnderTest) -> None:
    web1 = guest(service, running=False)
    ended = service.wait(cold(service).id)
    assert ended.state == "completed", service.events(ended.id)
    assert (ended.kind, ended.method, ended.downtime_ms) == ("cold", "cold", None)
    assert state_on(service, "h1", web1) is DomainState.ABSENT
    assert state_on(service, "h2", web1) is DomainState.SHUTOFF
    assert service.host("h2").view(web1).mark is None
    assert real(local(service, "h1")) == set()
    assert set(local(service, "h2")) == {"web1-vda", "web1-vdb"}
    assert local(service, "h2")["web1-vdb"].content == QCOW2
    assert real(service.host("h1").pools["shared"].storage.volumes) == {"web1-vdc"}
    service.until(lambda: owner(service) == ("h2", "shutoff"))
    assert claims(service) == set()


def test_a_running_guest_is_shut_down_moves_and_runs_again(service: ServiceUnderTest) -> None:
    web1 = guest(service, running=True, autostart=True)
    ended = service.wait(cold(service).id)
    assert ended.state == "completed", service.events(ended.id)
    assert ended.downtime_ms is not None
    assert service.running_on(web1) == ["h2"]
    assert state_on(service, "h1", web1) is DomainState.ABSENT
    assert service.host("h2").view(web1).autostart
    service.until(lambda: claims(service) == {("h2", "use")})


def test_a_guest_that_does_not_listen_is_destroyed_in_the_end(service: ServiceUnderTest) -> None:
    web1 = guest(service, running=True)
    service.host("h1").deaf_guests = True
    ended = service.wait(cold(service).id)
    assert ended.state == "completed"
    assert service.running_on(web1) == ["h2"]
    assert any("did not shut down" in event for event in service.events(ended.id))


def test_a_guest_that_is_off_is_not_moved_live(service: ServiceUnderTest) -> None:
    guest(service, running=False)
    with pytest.raises(Refused) as refused:
        service.client.migrate(Migrate(instance="web1", host="h2"))
    assert refused.value.code == "guest.not_active"
    assert "--kind cold" in refused.value.message


def test_a_paused_guest_would_lose_its_memory_and_is_refused(service: ServiceUnderTest) -> None:
    web1 = guest(service, running=True)
    service.host("h1").suspend(web1)
    service.until(lambda: owner(service) == ("h1", "paused"))
    with pytest.raises(Refused) as refused:
        cold(service)
    assert refused.value.code == "guest.not_active"


def test_a_saved_guest_takes_its_memory_and_its_variables_along(service: ServiceUnderTest) -> None:
    web1 = saved(service)
    ended = service.wait(cold(service).id)
    assert ended.state == "completed", service.events(ended.id)
    assert state_files(service, "h2") == EVERYTHING
    assert state_files(service, "h1") == {}
    there = service.host("h2")
    assert there.describe(web1).has_managed_save
    assert "xmlns/attempt" not in (there.saved_xml(web1) or "")
    assert not [pool for pool in there.host_facts().pools if pool.startswith("migrator-state")]
    there.start(web1)
    assert service.running_on(web1) == ["h2"]


def test_an_undone_move_of_a_saved_guest_leaves_its_memory_where_it_was(
    service: ServiceUnderTest,
) -> None:
    web1 = saved(service)
    service.host("h2").fails["define"] = Refused("domain.xml_invalid", "no")
    ended = service.wait(cold(service).id)
    assert ended.state == "failed", service.events(ended.id)
    assert state_files(service, "h1") == EVERYTHING
    assert state_files(service, "h2") == {}
    assert service.host("h1").describe(web1).has_managed_save
    assert service.host("h1").view(web1).mark is None
    assert set(local(service, "h2")) == set()


def test_a_saved_guest_with_shared_disks_is_not_kept_for_a_revert(
    keeping: ServiceUnderTest,
) -> None:
    saved(keeping)
    ended = keeping.wait(cold(keeping).id)
    assert ended.state == "completed", keeping.events(ended.id)
    assert any("cannot be reverted" in event for event in keeping.events(ended.id))
    assert state_files(keeping, "h1") == {}


def test_a_transient_guest_is_refused(service: ServiceUnderTest) -> None:
    service.add_guest("h1", "web1", persistent=False)
    with pytest.raises(Refused) as refused:
        cold(service)
    assert refused.value.code == "guest.transient"


def test_an_abort_in_the_middle_of_the_copy_brings_the_guest_back(
    service: ServiceUnderTest,
) -> None:
    web1 = guest(service, running=True, autostart=True)
    service.fleet.hold()
    asked = cold(service)
    reached(service, asked, MigrationState.COPYING)
    service.client.abort(AbortMigration(id=asked.id))
    ended = service.wait(asked.id)
    assert ended.state == "cancelled", service.events(ended.id)
    undone(service, web1)


Stopping = tuple[ServiceUnderTest, str, MigrationView]


@pytest.fixture
def stopping(tmp_path: Path, bus: Bus) -> Iterator[Stopping]:
    """Its guest is asked to shut down, and does not."""
    with service_with(tmp_path, bus, cold_stop_s=3600.0) as service:
        furnish(service)
        web1 = guest(service, running=True, autostart=True)
        service.host("h1").deaf_guests = True
        asked = cold(service)
        reached(service, asked, MigrationState.STOPPING)
        service.until(lambda: service.host("h1").view(web1).mark is not None)
        yield service, web1, asked


def called_off(stopping: Stopping) -> tuple[ServiceUnderTest, str, str]:
    service, web1, asked = stopping
    service.client.abort(AbortMigration(id=asked.id))
    ended = service.wait(asked.id)
    assert ended.state == "cancelled", service.events(ended.id)
    return service, web1, asked.id


def test_an_abort_while_it_is_asked_to_shut_down_leaves_it_running(stopping: Stopping) -> None:
    """Nobody waits for a guest that does not listen."""
    service, web1, _ = called_off(stopping)
    undone(service, web1)


def test_a_guest_that_obeys_after_the_stop_was_called_off_is_started_again(
    stopping: Stopping,
) -> None:
    service, web1, asked = called_off(stopping)
    service.host("h1").power_off(web1)
    service.until(lambda: any("runs on h1 again" in event for event in service.events(asked)))
    undone(service, web1)
    assert service.show(asked).needs_attention is None


def test_a_guest_that_was_saved_after_the_stop_was_called_off_stays_so(stopping: Stopping) -> None:
    service, web1, asked = called_off(stopping)
    service.host("h1").save_guest(web1, MEMORY)
    service.until(lambda: "todo: start_again on h1 is done" in service.events(asked))
    assert state_on(service, "h1", web1) is DomainState.SHUTOFF


def test_a_guest_that_is_saved_while_it_is_asked_to_shut_down_keeps_its_memory(
    stopping: Stopping,
) -> None:
    service, web1, asked = stopping
    service.host("h1").save_guest(web1, MEMORY)
    stays_saved(service, web1, asked)


def stays_saved(service: ServiceUnderTest, web1: str, asked: MigrationView) -> None:
    """Its move has failed for it, and nothing of it is anywhere else."""
    ended = service.wait(asked.id)
    assert (ended.state, ended.error_code) == ("failed", "guest.busy"), service.events(ended.id)
    assert "saved" in (ended.error or "")
    view = service.host("h1").view(web1)
    assert (view.state, view.reason, view.mark) == (DomainState.SHUTOFF, Reason.SAVED, None)
    assert service.host("h1").saved_xml(web1) is not None
    assert view.autostart
    assert service.known_on(web1) == ["h1"]
    assert real(local(service, "h2")) == set()


def test_a_guest_that_is_started_and_saved_during_the_copy_keeps_its_memory(
    tmp_path: Path, bus: Bus
) -> None:
    gate = Gate(at("copy_volumes", DONE))
    service = service_with(tmp_path, bus)
    service.wrap_stores = gate.before
    with service:
        furnish(service)
        web1 = guest(service, running=True, autostart=True)
        asked = cold(service)
        gate.wait()
        service.host("h1").start(web1)
        service.host("h1").save_guest(web1, MEMORY)
        gate.let_on()
        stays_saved(service, web1, asked)


def test_a_guest_that_is_started_during_the_copy_ends_it_at_once(service: ServiceUnderTest) -> None:
    """Off again before the copy ends, it would leave behind what it has written."""
    web1 = guest(service, running=True, autostart=True)
    service.fleet.hold()
    asked = cold(service)
    reached(service, asked, MigrationState.COPYING)
    service.host("h1").start(web1)
    ended = service.wait(asked.id)
    assert (ended.state, ended.error_code) == ("failed", "guest.busy"), service.events(ended.id)
    undone(service, web1)


def test_an_abort_starts_a_guest_again_that_has_just_shut_down(tmp_path: Path, bus: Bus) -> None:
    gate = Gate(at("stop_guest", DONE))
    service = service_with(tmp_path, bus)
    service.wrap_stores = gate.before
    with service:
        furnish(service)
        web1 = guest(service, running=True, autostart=True)
        asked = cold(service)
        gate.wait()
        assert service.running_on(web1) == []
        service.client.abort(AbortMigration(id=asked.id))
        gate.let_on()
        ended = service.wait(asked.id)
        assert ended.state == "cancelled", service.events(ended.id)
        undone(service, web1)


def test_a_copy_that_runs_is_held_to_another_bandwidth(service: ServiceUnderTest) -> None:
    guest(service, running=False)
    local(service, "h1")["web1-vda"].content = bytes(64 * MIB)
    asked = cold(service, bandwidth_mib_s=1)
    service.until(lambda: service.show(asked.id).disk_total is not None)
    told = service.client.tune(Tune(id=asked.id, bandwidth_mib_s=0))
    assert told.result == "applied"
    ended = service.wait(asked.id)
    assert ended.state == "completed", service.events(ended.id)
    assert "step: copying at full speed now" in service.events(asked.id)


def test_another_conductor_tells_what_was_asked_meanwhile(service: ServiceUnderTest) -> None:
    guest(service, running=False)
    service.fleet.hold()
    asked = cold(service)
    service.until(lambda: service.show(asked.id).disk_total is not None)
    service.stop_conductor()
    service.conductor.context.stores.journal.ask_tuning(asked.id, Tuning(7), "operator")
    service.start_conductor()
    service.until(lambda: "step: copying at 7 MiB/s at most now" in service.events(asked.id))
    service.fleet.release()
    assert service.wait(asked.id).state == "completed"


def test_a_cold_move_has_no_limit_but_its_bandwidth(service: ServiceUnderTest) -> None:
    guest(service, running=True)
    service.fleet.hold()
    asked = cold(service)
    with pytest.raises(Refused) as refused:
        service.client.tune(Tune(id=asked.id, max_downtime_ms=100))
    assert refused.value.code == "request.invalid"
    service.fleet.release()
    assert service.wait(asked.id).state == "completed"


@pytest.mark.parametrize(
    ("host", "verb", "error"),
    [
        ("h1", "copy_volumes", Broken("copy.failed", "No space left on device")),
        ("h2", "define", Refused("domain.xml_invalid", "no")),
        ("h2", "start", Broken("guest.start_failed", "no such firmware")),
    ],
)
def test_what_fails_on_the_way_brings_the_guest_back(
    service: ServiceUnderTest, host: str, verb: str, error: MigratorError
) -> None:
    web1 = guest(service, running=True, autostart=True)
    service.host(host).fails[verb] = error
    ended = service.wait(cold(service).id)
    assert (ended.state, ended.error_code) == ("failed", error.code), service.events(ended.id)
    undone(service, web1)


def test_a_destination_that_cannot_prove_its_copy_is_asked_again(
    service: ServiceUnderTest,
) -> None:
    web1 = guest(service, running=False)
    service.host("h2").fails["digest_volumes"] = Transient("libvirt.unreachable", "away")
    asked = cold(service)
    service.until(lambda: any("taken up again" in event for event in service.events(asked.id)))
    service.host("h2").fails.clear()
    ended = service.wait(asked.id)
    assert ended.state == "completed", service.events(ended.id)
    assert state_on(service, "h2", web1) is DomainState.SHUTOFF
    assert set(local(service, "h2")) == {"web1-vda", "web1-vdb"}


def test_a_copy_that_differs_is_made_again(service: ServiceUnderTest) -> None:
    guest(service, running=False)
    service.host("h1").garbles = 1
    ended = service.wait(cold(service).id)
    assert ended.state == "completed", service.events(ended.id)
    assert any("copy.mismatch" in event for event in service.events(ended.id))
    assert {n: v.content for n, v in local(service, "h2").items()} == {
        "web1-vda": b"raw",
        "web1-vdb": QCOW2,
    }


def test_what_differs_again_and_again_is_given_up_and_the_source_is_whole(
    service: ServiceUnderTest,
) -> None:
    """It is tried for a minute; the abort stands for its end."""
    web1 = guest(service, running=True, autostart=True)
    service.host("h1").garbles = 1000
    asked = cold(service)
    mismatch = "step: copy.mismatch"
    service.until(lambda: sum(mismatch in each for each in service.events(asked.id)) > 1)
    assert real(local(service, "h1")) == {"web1-vda", "web1-vdb"}
    service.client.abort(AbortMigration(id=asked.id))
    assert service.wait(asked.id).state == "cancelled"
    undone(service, web1)


def test_an_agent_that_is_restarted_takes_the_copy_up_again(service: ServiceUnderTest) -> None:
    web1 = guest(service, running=True)
    service.fleet.hold()
    asked = cold(service)
    reached(service, asked, MigrationState.COPYING)
    service.until(lambda: service.show(asked.id).disk_total is not None)
    service.stop_agent("h1")
    service.start_agent("h1")
    service.fleet.release()
    ended = service.wait(asked.id)
    assert ended.state == "completed", service.events(ended.id)
    assert service.running_on(web1) == ["h2"]


@pytest.mark.parametrize("state", [MigrationState.COPYING])
def test_a_conductor_that_is_restarted_goes_on(
    service: ServiceUnderTest, state: MigrationState
) -> None:
    web1 = guest(service, running=True)
    service.fleet.hold()
    asked = cold(service)
    reached(service, asked, state)
    service.stop_conductor()
    service.start_conductor()
    service.fleet.release()
    ended = service.wait(asked.id)
    assert ended.state == "completed", service.events(ended.id)
    assert service.running_on(web1) == ["h2"]
    assert real(local(service, "h1")) == set()


@pytest.mark.parametrize("running", [True, False])
def test_a_revert_brings_the_guest_back_as_it_was(keeping: ServiceUnderTest, running: bool) -> None:
    web1 = guest(keeping, running=running, autostart=True)
    asked = cold(keeping)
    reached(keeping, asked, MigrationState.AWAITING_CONFIRM)
    assert state_on(keeping, "h1", web1) is DomainState.SHUTOFF
    assert not keeping.host("h1").view(web1).autostart
    assert real(local(keeping, "h1")) == {"web1-vda", "web1-vdb"}
    local(keeping, "h2")["web1-vda"].content = b"written since"
    keeping.client.revert(RevertMigration(id=asked.id))
    ended = keeping.wait(asked.id)
    assert ended.state == "reverted", keeping.events(ended.id)
    view = keeping.host("h1").view(web1)
    assert (view.active, view.autostart, view.mark) == (running, True, None)
    assert state_on(keeping, "h2", web1) is DomainState.ABSENT
    assert local(keeping, "h1")["web1-vda"].content == b"raw"
    assert set(local(keeping, "h2")) == set()
    keeping.until(lambda: owner(keeping)[0] == "h1")
    keeping.until(lambda: claims(keeping) == ({("h1", "use")} if running else set()))


def test_a_confirmation_lets_the_source_go(keeping: ServiceUnderTest) -> None:
    web1 = guest(keeping, running=True)
    asked = cold(keeping)
    reached(keeping, asked, MigrationState.AWAITING_CONFIRM)
    keeping.client.confirm(ConfirmMigration(id=asked.id))
    ended = keeping.wait(asked.id)
    assert ended.state == "completed", keeping.events(ended.id)
    assert keeping.running_on(web1) == ["h2"]
    assert state_on(keeping, "h1", web1) is DomainState.ABSENT
    assert real(local(keeping, "h1")) == set()
    for say in (
        lambda: keeping.client.confirm(ConfirmMigration(id=asked.id)),
        lambda: keeping.client.revert(RevertMigration(id=asked.id)),
    ):
        with pytest.raises(Refused) as refused:
            say()
        assert refused.value.code == "migration.finished"


def test_the_window_ends_by_itself(tmp_path: Path, bus: Bus) -> None:
    with service_with(tmp_path, bus, cold_confirm_s=0.5) as service:
        furnish(service)
        web1 = guest(service, running=True)
        ended = service.wait(cold(service).id)
        assert ended.state == "completed", service.events(ended.id)
        assert service.running_on(web1) == ["h2"]
        assert real(local(service, "h1")) == set()


def test_what_does_not_wait_is_neither_confirmed_nor_reverted(service: ServiceUnderTest) -> None:
    guest(service, running=True)
    service.fleet.hold()
    asked = cold(service)
    reached(service, asked, MigrationState.COPYING)
    for say in (
        lambda: service.client.confirm(ConfirmMigration(id=asked.id)),
        lambda: service.client.revert(RevertMigration(id=asked.id)),
    ):
        with pytest.raises(Refused) as refused:
            say()
        assert refused.value.code == "confirm.not_waiting"
    service.fleet.release()
    assert service.wait(asked.id).state == "completed"


def test_a_dry_run_names_the_method_and_the_disks(service: ServiceUnderTest) -> None:
    guest(service, running=False)
    told = service.client.dry_run(Migrate(instance="web1", kind="cold"))
    assert (told.chosen, told.methods) == ("h2", ["cold"])
    (there,) = [verdict for verdict in told.hosts if verdict.host == "h2"]
    assert [(disk.target, disk.mode) for disk in there.disks] == [
        ("vda", "copy"),
        ("vdb", "copy"),
        ("vdc", "shared"),
    ]

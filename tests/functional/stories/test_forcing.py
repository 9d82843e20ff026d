"""Migrations that operators bring to their end, and guests that are paused for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from migrator.errors import Refused
from migrator.messages import AbortMigration, ForceComplete, Tune
from migrator.model import DomainState
from tests.functional.stories.fleet import ServiceUnderTest


def moving(service: ServiceUnderTest) -> tuple[str, str]:
    """(guest, migration) in its first pass over the memory, which does not end by itself."""
    service.fleet.hold()
    guest = service.add_guest("h1", "web1")
    migration = service.migrate("web1", host="h2")
    service.wait_for_state(migration.id, "running")
    service.until(lambda: (job := service.host("h1").job(guest)) and job.memory_total > 0)
    return guest, migration.id


def paused_for_its_end(service: ServiceUnderTest) -> tuple[str, str]:
    guest, migration = moving(service)
    answer = service.client.force_complete(ForceComplete(id=migration, method="pause"))
    assert answer.result == "deferred"
    service.fleet.iterate()
    service.until(lambda: service.host("h1").view(guest).state is DomainState.PAUSED)
    return guest, migration


def test_a_force_waits_for_the_first_pass_and_says_so_as_often_as_it_is_asked(
    service: ServiceUnderTest,
) -> None:
    _, migration = moving(service)
    asked = ForceComplete(id=migration, method="downtime")
    answers = [service.client.force_complete(asked) for _ in range(2)]
    assert [answer.result for answer in answers] == ["deferred", "deferred"]
    assert "copied once" in answers[0].reason
    service.fleet.iterate()
    service.until(lambda: service.client.force_complete(asked).result != "ended")
    service.fleet.release()
    ended = service.wait(migration)
    assert (ended.state, ended.method) == ("completed", "precopy")
    recorded = [each for each in ended.actions if each.action == "set_downtime"]
    assert "force_asked" in [each.rule for each in recorded]


def test_a_method_the_transfer_was_not_started_for_is_refused_with_the_way_out(
    service: ServiceUnderTest,
) -> None:
    _, migration = moving(service)
    with pytest.raises(Refused) as refusal:
        service.client.force_complete(ForceComplete(id=migration, method="postcopy"))
    assert refusal.value.code == "force.impossible"
    assert "downtime or pause" in refusal.value.message
    service.fleet.release()
    assert service.wait(migration).state == "completed"


def test_a_guest_paused_for_its_end_runs_where_it_arrives(service: ServiceUnderTest) -> None:
    guest, migration = paused_for_its_end(service)
    service.fleet.release()
    ended = service.wait(migration)
    assert (ended.state, ended.method) == ("completed", "pause")
    assert service.running_on(guest) == ["h2"]


@pytest.mark.parametrize("restarted", ["nobody", "agent", "conductor"])
def test_a_guest_paused_for_an_end_that_never_came_runs_again(
    service: ServiceUnderTest, restarted: str
) -> None:
    guest, migration = paused_for_its_end(service)
    if restarted == "agent":
        service.stop_agent("h1")
        service.start_agent("h1")
    elif restarted == "conductor":
        service.stop_conductor()
        service.start_conductor()
    service.client.abort(AbortMigration(id=migration))
    assert service.wait(migration).state == "cancelled"
    assert service.running_on(guest) == ["h1"]


def test_what_was_asked_outlives_the_agent_that_was_told(service: ServiceUnderTest) -> None:
    guest, migration = moving(service)
    service.client.force_complete(ForceComplete(id=migration, method="pause"))
    service.stop_agent("h1")
    service.start_agent("h1")
    service.fleet.iterate()
    service.until(lambda: service.host("h1").view(guest).state is DomainState.PAUSED)
    service.fleet.release()
    assert service.wait(migration).state == "completed"


def test_a_limit_that_comes_before_libvirt_has_begun_to_send_is_set_again_once_it_has(
    service: ServiceUnderTest,
) -> None:
    service.fleet.timing = replace(service.fleet.timing, setup_s=2.0)
    service.fleet.hold()
    service.add_guest("h1", "web1")
    migration = service.migrate("web1", host="h2").id
    service.wait_for_state(migration, "running")
    assert service.client.tune(Tune(id=migration, bandwidth_mib_s=7)).result == "applied"
    (transfer,) = service.fleet.transfers()
    service.until(lambda: transfer.speed_mib_s == 7)
    assert transfer.arriving is None
    service.until(lambda: transfer.arriving is not None and transfer.speed_mib_s == 7)
    service.fleet.release()
    assert service.wait(migration).state == "completed"


def test_other_limits_reach_a_transfer_that_runs(service: ServiceUnderTest) -> None:
    guest, migration = moving(service)
    wanted = Tune(id=migration, bandwidth_mib_s=7, max_downtime_ms=77)
    assert service.client.tune(wanted).result == "applied"
    (transfer,) = service.fleet.transfers()
    service.until(lambda: (transfer.speed_mib_s, transfer.max_downtime_ms) == (7, 77))
    service.fleet.release()
    ended = service.wait(migration)
    assert ended.state == "completed"
    assert [each.rule for each in ended.actions].count("tuned") == 2
    with pytest.raises(Refused) as refusal:
        service.client.tune(wanted)
    assert refusal.value.code == "migration.finished"
    assert service.running_on(guest) == ["h2"]

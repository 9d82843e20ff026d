"""What somebody does by hand while a migration is not finished yet is never undone, and never missed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from migrator.errors import Transient
from migrator.messages import DomainEvent, Relay
from migrator.model import AttemptMark, DomainState, DomainView, Reason
from tests.fakes.hypervisor import FakeGuest
from tests.functional.stories.fleet import ServiceUnderTest

AWAY = Transient("libvirt.timeout", "libvirt does not answer")


@pytest.mark.parametrize("with_mark", [False, True])
def test_a_guest_brought_back_before_its_source_was_fenced_is_left_alone(
    service: ServiceUnderTest, with_mark: bool
) -> None:
    guest = service.add_guest("h1", "web1")
    service.fleet.hold()
    migration = service.migrate("web1", host="h2")
    service.wait_for_state(migration.id, "running")
    h1, h2 = service.host("h1"), service.host("h2")
    h1.fails["view"] = AWAY
    service.fleet.release()
    service.wait_for_state(migration.id, "switched")
    service.until(lambda: guest not in h1.domains and h2.view(guest).mark is None)
    h2.destroy(guest)
    h2.undefine(guest)
    h1.add_guest(replace(FakeGuest("web1", guest), persistent=True))
    if with_mark:
        h1.set_mark(guest, AttemptMark(migration.id, 1, autostart=False))
    del h1.fails["view"]
    assert service.wait(migration.id).state == "completed"
    assert service.running_on(guest) == ["h1"]
    service.until(lambda: h1.view(guest).mark is None)
    service.until(lambda: service.show_instance("web1").host == "h1")
    assert service.show_instance("web1").status == "running"
    assert service.claims() == [("h1", "web1", "use")]


def arrival_of(guest: str) -> DomainEvent:
    """As an agent of h2 that has been replaced since told of it."""
    return DomainEvent(
        host="h2",
        incarnation="of long ago",
        instance_id=guest,
        event="resumed",
        detail="migrated",
        view=DomainView(DomainState.RUNNING, Reason.MIGRATED),
    )


def test_an_arrival_told_by_another_conductor_is_looked_at_before_it_is_believed(
    service: ServiceUnderTest,
) -> None:
    guest = service.add_guest("h1", "web1")
    service.fleet.hold()
    migration = service.migrate("web1", host="h2")
    service.wait_for_state(migration.id, "running")
    service.client.relay(Relay(migration_id=migration.id, event=arrival_of(guest)))
    service.clock.sleep(0.5)
    assert service.show(migration.id).state == "running"
    service.fleet.release()
    assert service.wait(migration.id).state == "completed"
    assert service.running_on(guest) == ["h2"]


def test_a_guest_that_is_nowhere_any_more_has_moved_when_another_conductor_heard_of_its_arrival(
    service: ServiceUnderTest,
) -> None:
    guest = service.add_guest("h1", "web1", persistent=False)
    service.fleet.hold()
    migration = service.migrate("web1", host="h2")
    service.wait_for_state(migration.id, "running")
    service.client.relay(Relay(migration_id=migration.id, event=arrival_of(guest)))
    h1 = service.host("h1")
    h1.end(h1.domains[guest], "crashed", Reason.CRASHED)
    service.fleet.release()
    assert service.wait(migration.id).state == "completed"


def test_a_guest_whose_new_host_has_not_reported_yet_is_not_gone_when_its_migration_ends(
    service: ServiceUnderTest,
) -> None:
    service.add_guest("h1", "web1")
    service.fleet.hold()
    migration = service.migrate("web1", host="h2")
    service.wait_for_state(migration.id, "running")
    # The agent of h2 answers and says nothing by itself: restarted, before its first report.
    service.agents["h2"][0].stop()
    service.fleet.release()
    assert service.wait(migration.id).state == "completed"
    known = service.show_instance("web1")
    assert (known.host, known.status) == ("h2", "running")
    assert service.claims() == [("h2", "web1", "use")]

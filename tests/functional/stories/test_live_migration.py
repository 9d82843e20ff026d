"""A guest moves: what is true on the hosts and in the records afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.errors import Refused
from migrator.messages import Migrate, MigrationRef
from migrator.rpc import Bus
from tests.fakes.hypervisor import FakeDisk
from tests.functional.stories.fleet import ServiceUnderTest


def test_a_persistent_guest_moves_and_ends_defined_only_where_it_runs(
    service: ServiceUnderTest,
) -> None:
    guest = service.add_guest("h1", "web1", autostart=True)
    ended = service.wait(service.migrate("web1", host="h2").id)
    assert (ended.state, ended.source, ended.destination) == ("completed", "h1", "h2")
    assert service.running_on(guest) == ["h2"]
    assert service.known_on(guest) == ["h2"]
    there = service.host("h2").view(guest)
    assert (there.persistent, there.autostart, there.mark) == (True, True, None)
    assert service.claims() == [("h2", "web1", "use")]
    assert service.show_instance("web1").host == "h2"
    assert ended.downtime_ms is not None
    assert ended.total_ms is not None


def test_a_transient_guest_stays_transient(service: ServiceUnderTest) -> None:
    guest = service.add_guest("h1", "web1", persistent=False)
    ended = service.wait(service.migrate("web1").id)
    assert (ended.state, ended.destination, ended.mode) == ("completed", "h2", "auto")
    assert service.known_on(guest) == ["h2"]
    assert not service.host("h2").view(guest).persistent


def test_a_guest_moves_there_and_back_again(service: ServiceUnderTest) -> None:
    guest = service.add_guest("h1", "web1")
    for host in ("h2", "h1", "h2"):
        assert service.wait(service.migrate("web1", host=host).id).state == "completed"
        assert service.running_on(guest) == [host]
    assert service.claims() == [("h2", "web1", "use")]


def test_a_guest_on_a_proven_shared_disk_moves(tmp_path: Path, bus: Bus) -> None:
    service = ServiceUnderTest(tmp_path, bus)
    service.fleet.share_pool("volumes", ["h1", "h2"], volumes=["web1-vda"])
    with service:
        guest = service.add_guest("h1", "web1", disks=(FakeDisk("volumes", "web1-vda"),))
        assert service.wait(service.migrate("web1").id).state == "completed"
        assert service.running_on(guest) == ["h2"]


def test_a_guest_whose_disk_would_meet_another_of_its_name_is_refused_and_nothing_is_touched(
    tmp_path: Path, bus: Bus
) -> None:
    service = ServiceUnderTest(tmp_path, bus)
    service.fleet.share_pool("local", ["h1"], volumes=["web1-vda"])
    service.fleet.share_pool("local", ["h2"], volumes=["web1-vda"])
    with service:
        guest = service.add_guest("h1", "web1", disks=(FakeDisk("local", "web1-vda"),))
        with pytest.raises(Refused) as refused:
            service.migrate("web1", host="h2")
        assert refused.value.code == "volume.exists"
        assert service.running_on(guest) == ["h1"]
        assert service.claims() == [("h1", "web1", "use")]
        assert service.instance("web1").migration is None


def test_the_same_request_id_gets_the_same_migration(service: ServiceUnderTest) -> None:
    service.add_guest("h1", "web1")
    asked = Migrate(instance="web1", host="h2", request_id="once")
    first = service.client.migrate(asked)
    assert service.client.migrate(asked).id == first.id
    service.wait(first.id)
    assert service.client.migrate(asked).state == "completed"


def test_a_moving_guest_answers_with_the_migration_that_moves_it(
    service: ServiceUnderTest,
) -> None:
    service.add_guest("h1", "web1")
    service.fleet.hold()
    first = service.migrate("web1", host="h2")
    service.wait_for_state(first.id, "running")
    with pytest.raises(Refused) as refused:
        service.migrate("web1")
    assert (refused.value.code, refused.value.facts["id"]) == ("migration.exists", first.id)
    service.fleet.release()
    assert service.wait(first.id).state == "completed"


def test_a_destination_that_has_the_guest_already_is_refused(service: ServiceUnderTest) -> None:
    guest = service.add_guest("h1", "web1")
    squatter = service.add_guest("h2", "web1", running=False)
    with pytest.raises(Refused) as refused:
        service.migrate(guest, host="h2")
    assert refused.value.code == "destination.domain_exists"
    assert service.known_on(squatter) == ["h2"]


def test_a_migration_is_found_by_the_beginning_of_its_id(service: ServiceUnderTest) -> None:
    service.add_guest("h1", "web1")
    migration = service.wait(service.migrate("web1").id)
    assert service.client.show(MigrationRef(id=migration.id[:8])).id == migration.id

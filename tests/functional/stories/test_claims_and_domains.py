"""What is claimed, and what is really there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from migrator.db.tables import claims
from migrator.messages import Empty
from migrator.rpc import Bus
from tests.functional.stories.fleet import ServiceUnderTest


@pytest.fixture
def service(tmp_path: Path, bus: Bus) -> Iterator[ServiceUnderTest]:
    with ServiceUnderTest(tmp_path, bus) as started:
        yield started


def findings(service: ServiceUnderTest) -> list[tuple[str, str, str | None]]:
    told = service.client.audit_claims(Empty()).findings
    return [(each.finding, each.host, each.instance) for each in told]


def pins_of(service: ServiceUnderTest, name: str) -> dict[str, int]:
    (claim,) = [
        claim for claim in service.client.list_claims(Empty()).claims if claim.instance == name
    ]
    return claim.pins


def test_pins_that_are_there_or_change_by_hand_are_claimed(service: ServiceUnderTest) -> None:
    guest = service.add_guest("h1", "web1", cputune="<vcpupin vcpu='0' cpuset='3'/>")
    assert pins_of(service, "web1") == {"0": 3}
    assert findings(service) == []
    service.host("h1").retune(guest, "<vcpupin vcpu='0' cpuset='5'/>")
    service.until(lambda: pins_of(service, "web1") == {"0": 5})
    assert findings(service) == []


def test_a_host_that_does_not_answer_is_unchecked(service: ServiceUnderTest) -> None:
    service.add_guest("h1", "web1")
    service.stop_agent("h2")
    assert findings(service) == [("unchecked", "h2", None)]


def test_a_claim_that_nothing_holds_is_found_and_swept(service: ServiceUnderTest) -> None:
    guest = service.add_guest("h1", "web1")
    row = {"host": "h2", "instance_id": guest, "purpose": "use", "vcpus": 1, "memory_mib": 1}
    with service.database.writer() as connection:
        connection.execute(insert(claims).values(**row, created_at=service.clock.now()))
    assert findings(service) == [("leaked", "h2", "web1")]
    dropped = service.conductor.context.stores.claims.sweep()
    assert [(claim.host, claim.instance_name) for claim in dropped] == [("h2", "web1")]
    assert findings(service) == []
    assert service.claims() == [("h1", "web1", "use")]


def test_an_audit_while_guests_move_has_nothing_to_say(service: ServiceUnderTest) -> None:
    service.add_guest("h1", "web1")
    service.fleet.hold()
    moving = service.migrate("web1", host="h2")
    service.wait_for_state(moving.id, "running")
    assert findings(service) == []
    service.fleet.release()
    assert service.wait(moving.id).state == "completed"
    assert findings(service) == []

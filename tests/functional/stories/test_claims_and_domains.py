"""What is claimed, and what is really there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, insert

from migrator.db.tables import claims
from migrator.messages import Empty, HostRef, HostView, Migrate
from migrator.model import DeviceKind, PciDevice
from migrator.rpc import Bus
from tests.fakes.hypervisor import FakeGuest
from tests.functional.stories.fleet import ServiceUnderTest

VF = """
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source><address domain='0x0000' bus='0x01' slot='0x00' function='0x1'/></source>
    </hostdev>"""


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

    def found() -> bool:
        """Made anew each time: the conductor sweeps by itself soon after it has adopted a guest."""
        with service.database.writer() as connection:
            connection.execute(delete(claims).where(claims.c.host == "h2"))
            connection.execute(insert(claims).values(**row, created_at=service.clock.now()))
        return findings(service) == [("leaked", "h2", "web1")]

    service.until(found)
    service.conductor.context.stores.claims.sweep()
    assert findings(service) == []
    assert service.claims() == [("h1", "web1", "use")]


def test_a_second_copy_of_a_guest_is_foreign_and_keeps_what_it_sits_on(
    service: ServiceUnderTest,
) -> None:
    restarted_with(service, "h2", 2)
    service.until(lambda: [each.cpus for each in hosts(service)] == [8, 2])
    guest = service.add_guest("h1", "web1", cputune="<vcpupin vcpu='0' cpuset='3'/>")
    service.add_guest("h1", "web2", cputune="<vcpupin vcpu='0' cpuset='4'/>")
    copy = FakeGuest("web1", guest, cputune="<vcpupin vcpu='0' cpuset='0'/>")
    service.host("h2").add_guest(copy)
    service.until(lambda: ("h2", "web1", "foreign") in service.claims())
    assert findings(service) == [("foreign", "h2", "web1")]
    (shown,) = service.client.show_host(HostRef(name="h2")).foreign
    assert "CPU 0" in shown
    (verdict,) = service.client.dry_run(Migrate(instance="web2", host="h2")).hosts
    assert verdict.pins == {"0": 1}
    service.host("h2").power_off(guest)
    service.until(lambda: not [each for each in service.claims() if each[0] == "h2"])
    assert findings(service) == []


def test_a_device_that_vanishes_from_under_its_guest_is_an_alarm(service: ServiceUnderTest) -> None:
    function = PciDevice("0000:01:00.1", "8086", "10ed", DeviceKind.VF)
    restarted_with(service, "h1", 8, function)
    service.until(lambda: bool(service.client.show_host(HostRef(name="h1")).devices))
    service.add_guest("h1", "web1", devices=VF)
    assert [each.needs_attention for each in hosts(service)] == [None, None]
    restarted_with(service, "h1", 8)
    service.until(lambda: "0000:01:00.1" in (hosts(service)[0].needs_attention or ""))
    (claim,) = service.client.list_claims(Empty()).claims
    assert claim.devices == ["0000:01:00.1"]


def restarted_with(service: ServiceUnderTest, host: str, cpus: int, *devices: PciDevice) -> None:
    """Its agent looks at it anew."""
    service.stop_agent(host)
    service.host(host).have(cpus, devices)
    service.start_agent(host)


def hosts(service: ServiceUnderTest) -> list[HostView]:
    return service.client.list_hosts(Empty()).hosts


def test_an_audit_while_guests_move_has_nothing_to_say(service: ServiceUnderTest) -> None:
    service.add_guest("h1", "web1")
    service.fleet.hold()
    moving = service.migrate("web1", host="h2")
    service.wait_for_state(moving.id, "running")
    assert findings(service) == []
    service.fleet.release()
    assert service.wait(moving.id).state == "completed"
    assert findings(service) == []

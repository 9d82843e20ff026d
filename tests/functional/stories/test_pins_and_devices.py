"""Guests that are bound to parts of their host, over the fake hypervisor."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import pytest
from sqlalchemy import update

from migrator.compute_agent.plugged import removable
from migrator.conductor.settings import ConductorSettings
from migrator.db.tables import todos
from migrator.errors import Refused
from migrator.messages import AbortMigration, Empty
from migrator.model import DeviceKind, PciDevice, PciLive, Wishes
from migrator.rpc import Bus
from tests.fakes.hypervisor import FakeGuest
from tests.functional.stories.fleet import ServiceUnderTest

VF = """
    <interface type='hostdev' managed='yes'>
      <mac address='52:54:00:00:00:02'/>
      <source><address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x{0}'/></source>
      <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/>
    </interface>"""


def pin(cpu: int, vcpu: int = 0) -> str:
    return f"<vcpupin vcpu='{vcpu}' cpuset='{cpu}'/>"


def vf(address: str) -> PciDevice:
    return PciDevice(address, "8086", "1520", DeviceKind.VF, "0000:01:00.0")


@pytest.fixture
def three(tmp_path: Path, bus: Bus) -> Iterator[ServiceUnderTest]:
    """Hosts with two CPUs and two virtual functions each; h1 has one guest pinned to CPU 0."""
    service = ServiceUnderTest(tmp_path, bus, hosts=3)
    for number, host in enumerate(service.fleet.hosts.values(), start=1):
        host.have(cpus=2, devices=[vf(f"0000:01:00.{number}"), vf(f"0000:01:00.{number + 3}")])
    with service:
        yield service


def pins(service: ServiceUnderTest, host: str, guest: str) -> dict[str, str | None]:
    """As the guest's XML has them there, live and persistent alike."""
    described = service.host(host).describe(guest)
    assert described is not None
    both = [
        {
            str(each.get("vcpu")): each.get("cpuset")
            for each in ElementTree.fromstring(text).iterfind("cputune/vcpupin")
        }
        for text in (described.live_xml, described.inactive_xml or described.live_xml)
    ]
    assert both[0] == both[1]
    return both[0]


def devices(service: ServiceUnderTest, host: str, guest: str) -> list[str]:
    described = service.host(host).describe(guest)
    return [] if described is None else [*removable(described.live_xml)]


def claimed(service: ServiceUnderTest, guest: str) -> list[tuple[str, dict[str, int], list[str]]]:
    claims = service.client.list_claims(Empty()).claims
    return [(each.host, each.pins, each.devices) for each in claims if each.instance == guest]


def findings(service: ServiceUnderTest) -> list[str]:
    return [each.message for each in service.client.audit_claims(Empty()).findings]


def test_a_pinned_guest_goes_to_a_cpu_that_is_free_and_back(three: ServiceUnderTest) -> None:
    web = three.add_guest("h1", "web1", cputune=pin(0))
    three.add_guest("h2", "sitter", cputune=pin(0))
    moved = three.wait(three.migrate("web1", host="h2").id)
    assert moved.state == "completed"
    assert any("the guest gets CPU 1" in event for event in three.events(moved.id))
    assert pins(three, "h2", web) == {"0": "1"}
    assert claimed(three, "web1") == [("h2", {"0": 1}, [])]
    assert three.wait(three.migrate("web1", host="h1").id).state == "completed"
    assert claimed(three, "web1")[0][0] == "h1"
    assert findings(three) == []


@pytest.mark.parametrize("forced", [{}, {"force": True, "reason": "let me"}])
def test_where_every_cpu_is_somebodys_no_pinned_guest_goes(
    three: ServiceUnderTest, forced: dict[str, object]
) -> None:
    three.add_guest("h1", "web1", cputune=pin(0))
    three.add_guest("h2", "sitter", cputune=pin(0))
    three.add_guest("h2", "other", cputune=pin(1))
    with pytest.raises(Refused) as refused:
        three.migrate("web1", host="h2", **forced)
    assert refused.value.code == "cpus.insufficient"


def test_a_cpu_that_somebody_took_by_hand_makes_it_another_host(three: ServiceUnderTest) -> None:
    web = three.add_guest("h1", "web1", cputune=pin(0))
    thief = FakeGuest(
        "thief", "7fffffff-0000-4000-8000-000000000001", vcpus=2, cputune=pin(0) + pin(1, 1)
    )
    busy = three.host("h2")
    checked, looks = busy.missing_features, itertools.count()

    def check(*asked: str) -> Sequence[str]:
        """Once the CPU is claimed; the conductor hears of it when it is too late."""
        if next(looks) == 1:
            busy.add_guest(thief)
        return checked(*asked)

    busy.missing_features = check  # type: ignore[method-assign]
    moved = three.migrate("web1")
    ended = three.wait(moved.id)
    story = "\n".join(three.events(moved.id))
    assert (ended.state, ended.destination) == ("completed", "h3"), story
    assert "thief is pinned to CPU 0" in story
    assert three.known_on(web) == ["h3"]
    assert [each[0] for each in claimed(three, "web1")] == ["h3"]
    assert three.conductor.context.stores.migrations.get(moved.id).avoided == ("h2",)


def test_a_claim_that_is_stale_on_the_host_that_was_named_ends_it(three: ServiceUnderTest) -> None:
    web = three.add_guest("h1", "web1", cputune=pin(0))
    three.host("h2").fails["topology"] = Refused("claim.stale", "taken by now")
    ended = three.wait(three.migrate("web1", host="h2").id)
    assert (ended.state, ended.error_code) == ("failed", "claim.stale")
    assert three.running_on(web) == ["h1"]
    assert [each[0] for each in claimed(three, "web1")] == ["h1"]


def test_of_two_that_want_the_last_cpu_at_once_one_gets_it(three: ServiceUnderTest) -> None:
    three.add_guest("h2", "sitter", cputune=pin(0))
    three.add_guest("h3", "other", cputune=pin(0) + pin(1, 1), vcpus=2)
    names = ["web0", "web1"]
    for number, name in enumerate(names):
        three.add_guest("h1", name, cputune=pin(number))

    def move(name: str) -> str:
        try:
            return three.wait(three.migrate(name).id).state
        except Refused as refused:
            return refused.code

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(move, names))
    assert answers[0] == "completed"
    assert answers[1] in {"host.none_fits", "rejected"}
    assert findings(three) == []


def test_a_host_takes_no_more_arrivals_at_once_than_it_may_in_any_mode(
    tmp_path: Path, bus: Bus
) -> None:
    settings = ConductorSettings(
        name="c1", encryption="off", lease_s=3.0, max_outgoing=8, max_incoming=1
    )
    with ServiceUnderTest(tmp_path, bus, settings=settings) as service:
        for name in ("web1", "web2"):
            service.add_guest("h1", name)
        service.fleet.hold()
        first = service.migrate("web1")
        service.wait_for_state(first.id, "running")
        second = service.migrate("web2")
        service.until(lambda: any("fewer" in each for each in service.events(second.id)))
        assert service.show(second.id).state == "scheduling"
        service.fleet.release()
        assert service.wait(first.id).state == "completed"
        assert service.wait(second.id).state == "completed"


def test_an_abort_ends_the_wait_for_a_slot(tmp_path: Path, bus: Bus) -> None:
    settings = ConductorSettings(name="c1", encryption="off", lease_s=3.0, max_incoming=1)
    with ServiceUnderTest(tmp_path, bus, settings=settings) as service:
        for name in ("web1", "web2"):
            service.add_guest("h1", name)
        service.fleet.hold()
        service.wait_for_state(service.migrate("web1").id, "running")
        second = service.migrate("web2")
        service.until(lambda: any("fewer" in each for each in service.events(second.id)))
        service.client.abort(AbortMigration(id=second.id, by="alice"))
        assert service.wait(second.id).state == "cancelled"
        service.fleet.release()


# ---------------------------------------------------------------- devices


def with_vf(service: ServiceUnderTest, live: PciLive = PciLive.DETACH) -> str:
    """A guest on h1 with a virtual function, and its operator's word on that."""
    guest = service.add_guest("h1", "web1", devices=VF.format(1))
    service.conductor.context.stores.instances.set_wishes(guest, Wishes(pci_live=live))
    return guest


def test_a_device_that_cannot_travel_keeps_its_guest_unless_its_operator_wants_otherwise(
    three: ServiceUnderTest,
) -> None:
    with_vf(three, PciLive.REFUSE)
    with pytest.raises(Refused) as refused:
        three.migrate("web1", host="h2")
    assert refused.value.code == "device.not_migratable"


def test_a_guest_lets_go_of_its_device_and_gets_another_one_there(three: ServiceUnderTest) -> None:
    web = with_vf(three)
    ended = three.wait(three.migrate("web1", host="h2").id)
    assert (ended.state, ended.error) == ("completed", None)
    three.until(lambda: devices(three, "h2", web) == ["0000:01:00.2"])
    described = three.host("h2").describe(web)
    assert described is not None
    assert described.inactive_xml is not None
    assert [*removable(described.inactive_xml)] == ["0000:01:00.2"]
    three.until(lambda: claimed(three, "web1") == [("h2", {}, ["0000:01:00.2"])])
    assert findings(three) == []


def test_a_roll_back_gives_the_device_back(three: ServiceUnderTest) -> None:
    web = with_vf(three)
    three.fleet.hold()
    migration = three.migrate("web1", host="h2")
    three.wait_for_state(migration.id, "running")
    assert devices(three, "h1", web) == []
    three.client.abort(AbortMigration(id=migration.id, by="alice"))
    assert three.wait(migration.id).state == "cancelled"
    assert devices(three, "h1", web) == ["0000:01:00.1"]
    three.until(lambda: claimed(three, "web1") == [("h1", {}, ["0000:01:00.1"])])
    three.fleet.release()


def test_what_a_guest_lets_go_of_after_it_was_given_back_it_gets_again(
    three: ServiceUnderTest,
) -> None:
    """A busy guest may do what it was asked to when nobody wants it any more."""
    web = with_vf(three)
    described = three.host("h1").describe(web)
    assert described is not None
    (device,) = removable(described.live_xml).values()
    three.fleet.hold()
    migration = three.migrate("web1", host="h2")
    three.wait_for_state(migration.id, "running")
    three.client.abort(AbortMigration(id=migration.id, by="alice"))
    assert three.wait(migration.id).state == "cancelled"
    three.host("h1").detach_device(web, device)
    assert devices(three, "h1", web) == []
    with three.database.writer() as connection:
        connection.execute(update(todos).values(next_try_at=three.clock.now()))
    three.conductor.context.todo.put("h1")
    three.until(lambda: devices(three, "h1", web) == ["0000:01:00.1"])
    three.until(lambda: claimed(three, "web1") == [("h1", {}, ["0000:01:00.1"])])
    three.fleet.release()


REGION = "<shmem name='ring'><model type='ivshmem-plain'/><size unit='M'>1</size></shmem>"


def test_memory_that_is_shared_with_the_host_is_let_go_of_where_that_is_wanted(
    three: ServiceUnderTest,
) -> None:
    web = three.add_guest("h1", "web1", devices=REGION)
    with pytest.raises(Refused) as refused:
        three.migrate("web1", host="h2")
    assert refused.value.code == "device.not_migratable"
    assert "--pci-live detach" in refused.value.message
    wishes = Wishes(pci_live=PciLive.DETACH)
    three.conductor.context.stores.instances.set_wishes(web, wishes)
    three.fleet.hold()
    aborted = three.migrate("web1", host="h2")
    three.wait_for_state(aborted.id, "running")
    assert devices(three, "h1", web) == []
    three.client.abort(AbortMigration(id=aborted.id, by="alice"))
    assert three.wait(aborted.id).state == "cancelled"
    assert devices(three, "h1", web) == ["shmem ring"]
    three.fleet.release()
    ended = three.wait(three.migrate("web1", host="h2").id)
    assert (ended.state, ended.error) == ("completed", None)
    assert devices(three, "h2", web) == ["shmem ring"]
    assert claimed(three, "web1") == [("h2", {}, [])]

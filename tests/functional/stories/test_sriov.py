"""Virtual functions of real hosts' make, from what libvirt says of them to the guest that has one.

The hosts have the node devices that were recorded of such hosts; what migrates between them are fakes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.errors import Refused
from migrator.messages import Empty, HostRef, Migrate
from migrator.rpc import Bus
from tests.functional.stories.fleet import ServiceUnderTest
from tests.functional.stories.recorded_hosts import claimed, devices, fleet_of, owners, with_device

HOSTS = {"h1": "sriov-host.xml", "h2": "sriov-second-host.xml"}
NEAR = frozenset({"0000:5e:02.0", "0000:5e:02.1"})
FAR = "0000:af:02.0"
GUEST_NIC = """
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source><address domain='0x0000' bus='0x3b' slot='0x02' function='0x{0}'/></source>
      <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/>
    </hostdev>"""


@pytest.fixture
def pair(tmp_path: Path, bus: Bus) -> Iterator[ServiceUnderTest]:
    with fleet_of(tmp_path, bus, HOSTS) as service:
        yield service


def with_nic(service: ServiceUnderTest, name: str, function: int) -> str:
    return with_device(service, name, GUEST_NIC.format(function))


def test_guests_may_have_virtual_functions_and_nothing_that_the_host_needs(
    pair: ServiceUnderTest,
) -> None:
    pair.until(lambda: bool(owners(pair, "h1")) and bool(owners(pair, "h2")))
    assert sorted(owners(pair, "h1")) == ["0000:3b:02.0", "0000:3b:02.1", "0000:3b:0a.3"]
    assert sorted(owners(pair, "h2")) == sorted({*NEAR, FAR})
    nodes = {
        device["address"]: device["numa_node"]
        for device in pair.client.show_host(HostRef(name="h2")).devices or []
    }
    assert nodes == {"0000:5e:02.0": 0, "0000:5e:02.1": 0, FAR: 1}


def test_a_guest_gets_a_function_of_the_same_make_there_and_back_and_leaves_none_behind(
    pair: ServiceUnderTest,
) -> None:
    guest = with_nic(pair, "web1", 1)
    pair.until(lambda: owners(pair, "h1").get("0000:3b:02.1") == "web1")
    (verdict,) = pair.client.dry_run(Migrate(instance="web1", host="h2")).hosts
    assert verdict.devices is not None
    (would_get,) = verdict.devices
    assert would_get["request"] == "0000:3b:02.1"
    there = pair.wait(pair.migrate("web1", host="h2").id)
    assert there.state == "completed", pair.events(there.id)
    pair.until(lambda: devices(pair, "h2", guest) == [would_get["address"]])
    assert claimed(pair, "web1") == [("h2", [would_get["address"]])]
    assert set(owners(pair, "h1").values()) == {None}
    back = pair.wait(pair.migrate("web1", host="h1").id)
    assert back.state == "completed", pair.events(back.id)
    pair.until(lambda: len(devices(pair, "h1", guest)) == 1)
    assert set(owners(pair, "h2").values()) == {None}
    assert pair.client.audit_claims(Empty()).findings == []


def test_functions_are_given_once_and_the_last_guest_is_refused(pair: ServiceUnderTest) -> None:
    """Three of h2's are of the make; each guest takes one, and none is left for a fourth."""
    for number in range(2):
        with_nic(pair, f"web{number}", number)
        ended = pair.wait(pair.migrate(f"web{number}", host="h2").id)
        assert ended.state == "completed", pair.events(ended.id)[-3:]
    third = with_nic(pair, "web2", 0)
    ended = pair.wait(pair.migrate("web2", host="h2").id)
    assert ended.state == "completed", pair.events(ended.id)[-3:]
    given = [address for name in ("web0", "web1", "web2") for _, [address] in claimed(pair, name)]
    assert set(given) == {*NEAR, FAR}
    pair.until(lambda: len(devices(pair, "h2", third)) == 1)
    with_nic(pair, "web3", 1)
    for forced in ({}, {"force": True, "reason": "please"}):
        with pytest.raises(Refused) as refused:
            pair.migrate("web3", host="h2", **forced)
        assert refused.value.code == "pci.insufficient"

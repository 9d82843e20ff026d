"""Mediated devices, from what libvirt says of them to the guest that has one.

The hosts have the node devices of hosts whose cards are cut into such parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from migrator.db.tables import claim_devices
from migrator.errors import Refused
from migrator.messages import AbortMigration, Empty, Migrate
from migrator.model import PciLive, Wishes
from migrator.rpc import Bus
from tests.functional.stories.fleet import ServiceUnderTest
from tests.functional.stories.recorded_hosts import claimed, devices, fleet_of, owners, with_device

HOSTS = {"h1": "mediated-host.xml", "h2": "mediated-second-host.xml"}
HERE = [f"a0000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3)]
THERE = [f"b0000000-0000-4000-8000-00000000000{number}" for number in (1, 2)]
"""Of the same type and started."""
PART = """
    <hostdev mode='subsystem' type='mdev' managed='no' model='vfio-pci'>
      <source><address uuid='{0}'/></source>
      <address type='pci' domain='0x0000' bus='0x06' slot='0x00' function='0x0'/>
    </hostdev>"""


@pytest.fixture
def pair(tmp_path: Path, bus: Bus) -> Iterator[ServiceUnderTest]:
    with fleet_of(tmp_path, bus, HOSTS) as service:
        yield service


def rows(service: ServiceUnderTest) -> list[tuple[str, str]]:
    """(host, device) as they are claimed in the database: unique by these two."""
    query = select(claim_devices.c.host, claim_devices.c.address)
    with service.database.reader() as connection:
        return sorted((row.host, row.address) for row in connection.execute(query))


def test_a_guest_gets_a_part_of_the_same_type_there_and_back_and_leaves_none_behind(
    pair: ServiceUnderTest,
) -> None:
    guest = with_device(pair, "web1", PART.format(HERE[0]))
    pair.until(lambda: owners(pair, "h1").get(HERE[0]) == "web1")
    (verdict,) = pair.client.dry_run(Migrate(instance="web1", host="h2")).hosts
    assert [each["request"] for each in verdict.devices or []] == [HERE[0]]
    there = pair.wait(pair.migrate("web1", host="h2").id)
    assert there.state == "completed", pair.events(there.id)
    (got,) = devices(pair, "h2", guest)
    assert got in THERE
    assert claimed(pair, "web1") == [("h2", [got])]
    assert rows(pair) == [("h2", got)]
    back = pair.wait(pair.migrate("web1", host="h1").id)
    assert back.state == "completed", pair.events(back.id)
    assert len(devices(pair, "h1", guest)) == 1
    assert {host for host, _ in rows(pair)} == {"h1"}
    assert pair.client.audit_claims(Empty()).findings == []


def test_parts_are_given_once_in_every_mode(pair: ServiceUnderTest) -> None:
    """Two of the type are started there; the third guest has none."""
    for name, part in zip(("web0", "web1"), HERE, strict=False):
        with_device(pair, name, PART.format(part))
        ended = pair.wait(pair.migrate(name, host="h2").id)
        assert ended.state == "completed", pair.events(ended.id)[-3:]
    assert rows(pair) == [("h2", each) for each in THERE]
    with_device(pair, "web2", PART.format(HERE[2]))
    for forced in ({}, {"force": True, "reason": "please"}):
        with pytest.raises(Refused) as refused:
            pair.migrate("web2", host="h2", **forced)
        assert refused.value.code == "pci.insufficient"


def test_a_part_that_somebody_runs_by_hand_is_nobody_elses(pair: ServiceUnderTest) -> None:
    pair.add_guest("h2", "other", devices=PART.format(THERE[1]))
    guest = with_device(pair, "web1", PART.format(HERE[0]))
    ended = pair.wait(pair.migrate("web1", host="h2").id)
    assert ended.state == "completed", pair.events(ended.id)[-3:]
    assert devices(pair, "h2", guest) == [THERE[0]]
    assert owners(pair, "h2")[THERE[1]] == "other"


def test_an_abort_gives_the_part_back_and_frees_the_other_hosts(pair: ServiceUnderTest) -> None:
    guest = with_device(pair, "web1", PART.format(HERE[0]))
    pair.fleet.hold()
    moving = pair.migrate("web1", host="h2")
    pair.wait_for_state(moving.id, "running")
    assert devices(pair, "h1", guest) == []
    assert {host for host, _ in rows(pair)} == {"h1", "h2"}
    pair.client.abort(AbortMigration(id=moving.id, by="alice"))
    assert pair.wait(moving.id).state == "cancelled"
    assert devices(pair, "h1", guest) == [HERE[0]]
    assert rows(pair) == [("h1", HERE[0])]
    pair.fleet.release()


def test_a_part_that_may_not_be_let_go_of_keeps_its_guest(pair: ServiceUnderTest) -> None:
    guest = with_device(pair, "web1", PART.format(HERE[0]))
    wishes = Wishes(pci_live=PciLive.REFUSE)
    pair.conductor.context.stores.instances.set_wishes(guest, wishes)
    with pytest.raises(Refused) as refused:
        pair.migrate("web1", host="h2")
    assert refused.value.code == "device.not_migratable"
    assert HERE[0] in refused.value.message

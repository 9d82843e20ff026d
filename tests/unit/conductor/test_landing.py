"""A placement becomes what the guest's XML has to say."""

from __future__ import annotations

import pytest

from migrator.conductor.landing import landing_of
from migrator.errors import Broken
from migrator.model import (
    CellPlacement,
    DeviceGiven,
    GuestCell,
    PciMatch,
    PciRequest,
    Placement,
    ResourceRequest,
)

ANY = (PciMatch(),)


def test_each_vcpu_of_its_own_has_one_cpu_and_the_others_float() -> None:
    placement = Placement(1, 512, ((0, 4), (1, 5)), emulator_cpus=(4, 5), shared_cpus=(0, 1, 2))
    landing = landing_of(placement, ResourceRequest(3, 512, dedicated=(0, 1)))
    assert landing.pins == {0: {4}, 1: {5}}
    assert (landing.emulator, landing.floating) == ({4, 5}, {0, 1, 2})


def test_vcpus_that_share_float_within_their_own_cell() -> None:
    cells = (GuestCell(0, (0, 1), 256), GuestCell(1, (2, 3), 256))
    placement = Placement(
        3,
        512,
        ((0, 9),),
        cells=(CellPlacement(0, 1, 1, 256, (8, 10)), CellPlacement(1, 0, 2, 256, (0, 1))),
    )
    landing = landing_of(placement, ResourceRequest(4, 512, dedicated=(0,), cells=cells))
    assert landing.pins == {0: {9}, 1: {8, 10}, 2: {0, 1}, 3: {0, 1}}
    assert landing.cells == {0: 1, 1: 0}


def test_a_device_becomes_the_one_that_was_given_for_it() -> None:
    wanted = tuple(PciRequest(name, ANY) for name in ("0000:01:00.1", "0000:01:00.2"))
    given = (
        DeviceGiven("0000:01:00.2", "0000:83:00.4"),
        DeviceGiven("0000:01:00.1", "0000:83:00.5"),
    )
    landing = landing_of(Placement(1, 512, devices=given), ResourceRequest(1, 512, pci=wanted))
    assert landing.devices == {"0000:01:00.1": "0000:83:00.5", "0000:01:00.2": "0000:83:00.4"}


@pytest.mark.parametrize(
    "given",
    [
        (),
        (DeviceGiven("a", "0000:01:00.0"), DeviceGiven("a", "0000:01:00.1")),
        (DeviceGiven("b", "0000:01:00.0"),),
        (DeviceGiven("a", "0000:01:00.0"), DeviceGiven("b", "0000:01:00.1")),
    ],
)
def test_devices_are_given_one_for_one_or_the_guest_does_not_move(
    given: tuple[DeviceGiven, ...],
) -> None:
    request = ResourceRequest(1, 512, pci=(PciRequest("a", ANY),))
    with pytest.raises(Broken) as broken:
        landing_of(Placement(1, 512, devices=given), request)
    assert broken.value.code == "placement.incomplete"

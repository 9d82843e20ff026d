"""What was claimed and is somebody else's by now."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.compute_agent.staleness import Reality, taken_meanwhile
from migrator.model import (
    DeviceGiven,
    DomainState,
    HostCell,
    HostTopology,
    PagesTaken,
    PciDevice,
    Placement,
)
from tests.unit.examples import a_sighting

TOPOLOGY = HostTopology(
    cells=(HostCell(0, 4096, ((0, 1), (2, 3))),),
    dedicated_cpus=(0, 1, 2, 3),
    shared_cpus=(0, 1, 2, 3),
    devices=(PciDevice("0000:01:00.1", "8086", "1520"),),
)
CLAIMED = Placement(
    0,
    0,
    ((0, 2),),
    emulator_cpu=1,
    blocked_cpus=(3,),
    pages=(PagesTaken(0, 2048, 64),),
    devices=(DeviceGiven("nic", "0000:01:00.1"),),
    blocked_devices=("0000:01:00.2",),
)


def found(*others: Placement, pages: int = 64, **changes: Any) -> list[str]:
    domains = [a_sighting(name=f"g{n}", held=one, **changes) for n, one in enumerate(others)]
    return taken_meanwhile(CLAIMED, Reality(TOPOLOGY, domains, {(0, 2048): pages}))


def test_a_host_on_which_nobody_was_faster_has_everything() -> None:
    assert found() == []
    assert found(Placement(1, 256, ((0, 0),))) == []


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Placement(0, 256, ((0, 2),)), "g0 is pinned to CPU 2"),
        (Placement(0, 256, ((0, 1),)), "g0 is pinned to CPU 1"),
        (Placement(0, 256, ((0, 3),)), "g0 is pinned to CPU 3"),
        (Placement(0, 256, ((0, 0),), emulator_cpu=2), "g0 is pinned to CPU 2"),
        (
            Placement(1, 256, devices=(DeviceGiven("", "0000:01:00.1"),)),
            "g0 has device 0000:01:00.1",
        ),
        (
            Placement(1, 256, devices=(DeviceGiven("", "0000:01:00.2"),)),
            "g0 has device 0000:01:00.2",
        ),
    ],
)
def test_who_was_faster_is_named(other: Placement, words: str) -> None:
    assert found(other) == [words]


def test_a_guest_that_is_off_has_nothing() -> None:
    assert found(Placement(0, 256, ((0, 2),)), state=DomainState.SHUTOFF) == []


def test_pages_that_are_missing_are_counted() -> None:
    assert found(pages=63) == ["cell 0 has 63 free pages of 2048 KiB and 64 are needed"]


def test_what_the_host_does_not_have_any_more_is_told() -> None:
    bare = HostTopology((HostCell(0, 4096, ((0, 1),)),), (0, 1), (0, 1))
    told = taken_meanwhile(CLAIMED, Reality(bare, [], {}))
    assert told == [
        "CPU 2 is not there or is off",
        "CPU 3 is not there or is off",
        "device 0000:01:00.1 is not there",
        "cell 0 has 0 free pages of 2048 KiB and 64 are needed",
    ]

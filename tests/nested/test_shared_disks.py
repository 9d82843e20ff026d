"""Guests with disks move where both hosts see the disks, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nested.lab import Lab
from tests.nested.verify import verify

pytestmark = [pytest.mark.nested, pytest.mark.usefixtures("discarding")]

SMALL = ("--memory", "128", "--dirty", "8", "--dirty-rate", "2")


@pytest.fixture(scope="module")
def discarding(standalone: Lab) -> Iterator[None]:
    yield
    for guest in ("sharing", "homebound"):
        standalone.discard(guest)


def test_a_guest_with_shared_raw_and_qcow2_disks_moves_there_and_back(lab: Lab) -> None:
    source, destination = lab.hosts
    disks = ("--disk", "shared:32:raw", "--disk", "shared:32:qcow2")
    guest = lab.boot("sharing", source, *SMALL, *disks)

    lab.move(guest, destination)

    assert lab.names_on(source).count(guest) == 0
    for target, kind in (("vda", "raw"), ("vdb", "qcow2")):
        driver = lab.xml_on(destination, guest).find(
            f"devices/disk/target[@dev='{target}']/../driver"
        )
        assert driver is not None
        assert driver.get("type") == kind
    verify(lab)
    lab.move(guest, source)
    verify(lab)
    beats = lab.beats(guest)
    assert {beat["disk"] for beat in beats} == {"ok"}
    writes = [int(beat["writes"]) for beat in beats]
    assert writes == sorted(writes)
    assert writes[-1] > writes[0]


def test_a_guest_with_a_medium_only_its_host_has_is_refused_and_nothing_is_touched(
    lab: Lab,
) -> None:
    source, destination = lab.hosts
    guest = lab.boot("homebound", source, *SMALL, "--cdrom")
    medium = Path(source.pools["local"]) / "homebound.iso"
    medium.write_bytes(bytes(1024 * 1024))
    try:
        lab.virsh(source, "pool-refresh", "local")
        path = lab.virsh(source, "vol-path", "homebound.iso", "--pool", "local")
        lab.virsh(source, "change-media", guest, "sda", path, "--insert", "--live")
        before, there = lab.definitions(), list(Path(destination.pools["local"]).iterdir())

        done = lab.migrator("migrate", guest, "--host", destination.name, "--wait")

        assert done.status == 2
        assert done.code == "disk.not_shared", done.err
        assert "--eject" in done.err
        assert done.out == ""
        assert lab.definitions() == before
        left = [path for path in Path(destination.pools["local"]).iterdir() if path not in there]
        assert all(path.name.startswith(".migrator-") for path in left)
    finally:
        medium.unlink()
    verify(lab)

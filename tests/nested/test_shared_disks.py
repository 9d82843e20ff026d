"""Guests with disks move where both hosts see the disks, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nested.lab import Lab
from tests.nested.verify import verify

pytestmark = [pytest.mark.nested, pytest.mark.usefixtures("discarding")]

POOL = "/var/lib/libvirt/images"
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


def test_a_medium_only_its_host_has_goes_along_and_one_in_no_pool_keeps_its_guest(
    lab: Lab,
) -> None:
    source, destination = lab.hosts
    guest = lab.boot("homebound", source, *SMALL, "--cdrom")
    media = [Path(host.pools["local"]) / "homebound-vd.iso" for host in lab.hosts]
    media[0].write_bytes(b"read only" * 100_000)
    lab.tool("exec", source.name, "cp", f"{POOL}/{media[0].name}", f"/run/{media[0].name}")
    insert = ("change-media", guest, "sda", "--update", "--live", "--force")
    try:
        lab.virsh(source, *insert, f"/run/{media[0].name}")
        done = lab.migrator("migrate", guest, "--host", destination.name, "--wait")
        assert (done.status, done.code, done.out) == (2, "disk.not_in_pool", ""), done.err
        assert "--eject" in done.err

        lab.virsh(source, "pool-refresh", "local")
        lab.virsh(source, *insert, f"{POOL}/{media[0].name}")
        lab.move(guest, destination)
        assert media[1].read_bytes() == media[0].read_bytes()
        drive = lab.xml_on(destination, guest).find("devices/disk[@device='cdrom']/source")
        assert drive is not None
        assert (drive.get("pool"), drive.get("volume")) == ("local", media[0].name)
        verify(lab)
    finally:
        lab.virsh(
            lab.home_of(guest), "change-media", guest, "sda", "--eject", "--live", check=False
        )
        for medium in media:
            medium.unlink(missing_ok=True)
    verify(lab)

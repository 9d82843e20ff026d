"""A device that cannot travel is let go of for the way, and is there again after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.nested.lab import SLOWLY, Host, Lab
from tests.nested.verify import verify

pytestmark = pytest.mark.nested

GUEST = ("--memory", "128", "--dirty", "16", "--dirty-rate", "4", "--shared-memory")
"""Shared memory is what libvirt refuses to migrate and can unplug without hardware."""


@pytest.fixture
def sharer(lab: Lab) -> Iterator[str]:
    yield lab.boot("sharer", lab.hosts[0], *GUEST)
    lab.discard("sharer")


def regions(lab: Lab, host: Host, guest: str) -> list[str]:
    """As its QEMU has them."""
    told = lab.virsh(host, "qemu-monitor-command", guest, "--hmp", "info qtree")
    return [line for line in told.splitlines() if "dev: ivshmem-plain" in line]


def test_a_guest_lets_go_of_its_device_for_the_way_and_has_it_again_wherever_it_ends_up(
    lab: Lab, sharer: str
) -> None:
    source = lab.home_of(sharer)
    destination = lab.other(source)
    assert len(regions(lab, source, sharer)) == 1
    refused = lab.migrator("migrate", sharer, "--host", destination.name)
    assert (refused.status, refused.code) == (2, "device.not_migratable")
    allowed = lab.migrator("instance", "set", sharer, "--pci-live", "detach")
    assert allowed.status == 0, allowed.err

    moving = lab.migrate(sharer, destination, *SLOWLY)
    moving.until_memory_flows()
    assert regions(lab, source, sharer) == []
    lab.migrator("migration", "abort", moving.id, "--wait")
    assert lab.home_of(sharer) == source
    assert len(regions(lab, source, sharer)) == 1

    lab.move(sharer, destination)
    assert len(regions(lab, destination, sharer)) == 1
    verify(lab)

"""What is looked for: what the domain needs, with what its operator wishes."""

from __future__ import annotations

from dataclasses import replace

from migrator.model import (
    DeviceKind,
    HostTopology,
    PciDevice,
    PciLive,
    PciMatch,
    PciNuma,
    PciRequest,
    ResourceRequest,
    ThreadPolicy,
    Wishes,
)
from migrator.scheduler.requests import wished

VF = PciDevice("0000:3b:02.1", "8086", "154c", DeviceKind.VF, parent="0000:3b:00.0", network="red")
GPU = PciDevice("0000:d8:00.0", "10de", "1eb8")
SOURCE = HostTopology(cells=(), dedicated_cpus=(), shared_cpus=(), devices=(VF, GPU))


def asking(*addresses: str) -> ResourceRequest:
    return ResourceRequest(
        2, 512, pci=tuple(PciRequest(address, match=()) for address in addresses)
    )


def test_a_device_is_asked_for_by_what_it_is_at_the_source() -> None:
    function, card = wished(asking(VF.address, GPU.address), Wishes(), SOURCE).pci
    assert function.match == (PciMatch("8086", "154c", DeviceKind.VF, "red"),)
    assert card.match == (PciMatch("10de", "1eb8"),)


def test_a_device_the_source_does_not_tell_of_is_found_nowhere() -> None:
    for source in (SOURCE, None):
        (request,) = wished(asking("0000:00:1f.2"), Wishes(), source).pci
        assert request.match == ()


def test_a_physical_function_is_asked_for_whole() -> None:
    whole = replace(SOURCE, devices=(replace(VF, kind=DeviceKind.PF, network=None),))
    (request,) = wished(asking(VF.address), Wishes(), whole).pci
    assert request.match == (PciMatch("8086", "154c", DeviceKind.PF),)


def test_wishes_count_before_what_the_domain_says() -> None:
    wishes = Wishes(
        threads=ThreadPolicy.ISOLATE, pci_numa=PciNuma.REQUIRED, pci_live=PciLive.DETACH
    )
    request = wished(asking(VF.address), wishes, SOURCE)
    assert request.threads is ThreadPolicy.ISOLATE
    assert (request.pci[0].numa, request.pci[0].live) == (PciNuma.REQUIRED, PciLive.DETACH)
    plain = wished(asking(VF.address), Wishes(), SOURCE)
    assert (plain.threads, plain.pci[0].live) == (ThreadPolicy.PREFER, PciLive.REFUSE)

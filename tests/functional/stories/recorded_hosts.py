"""Hosts with the node devices that were recorded of real ones; what migrates between them are fakes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from migrator.compute_agent.host_topology import topology
from migrator.compute_agent.plugged import removable
from migrator.messages import Empty, HostRef
from migrator.model import HostTopology, PciLive, Wishes
from migrator.rpc import Bus
from tests.functional.stories.fleet import ServiceUnderTest

RECORDED = Path(__file__).parents[2] / "unit" / "compute_agent" / "recorded"


def recorded(name: str) -> HostTopology:
    """As an agent reads it; that libvirt writes such devices so is shown where its topology is read."""
    found = ElementTree.parse(RECORDED / name).iterfind("device")
    devices = [ElementTree.tostring(device, encoding="unicode") for device in found]
    return topology((RECORDED / "capabilities-two-sockets.xml").read_text(), devices)


def fleet_of(directory: Path, bus: Bus, hosts: Mapping[str, str]) -> ServiceUnderTest:
    """A service that is yet to be started; ``hosts``: name -> file of its node devices."""
    service = ServiceUnderTest(directory, bus, hosts=len(hosts))
    for name, file in hosts.items():
        host = service.host(name)
        host.parts = recorded(file)
        memory = sum(cell.memory_mib for cell in host.parts.cells)
        host.facts = replace(host.facts, cpus=len(host.parts.shared_cpus), memory_mib=memory)
    return service


def with_device(service: ServiceUnderTest, name: str, device: str) -> str:
    """A guest on the first host that lets go of its device for the way."""
    guest = service.add_guest("h1", name, devices=device)
    wishes = Wishes(pci_live=PciLive.DETACH)
    service.conductor.context.stores.instances.set_wishes(guest, wishes)
    return guest


def devices(service: ServiceUnderTest, host: str, guest: str) -> list[str]:
    described = service.host(host).describe(guest)
    return [] if described is None else [*removable(described.live_xml)]


def claimed(service: ServiceUnderTest, name: str) -> list[tuple[str, list[str]]]:
    claims = service.client.list_claims(Empty()).claims
    return [(claim.host, claim.devices) for claim in claims if claim.instance == name]


def owners(service: ServiceUnderTest, host: str) -> dict[str, str | None]:
    shown = service.client.show_host(HostRef(name=host)).devices or []
    return {device["address"]: device["instance"] for device in shown}

"""Guests that move cold, in a service under test: what they are, and what is where."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from migrator.compute_agent.offline_facts import SAVED_DIRECTORY
from migrator.conductor.settings import ConductorSettings
from migrator.messages import Empty, Migrate, MigrationView, NamedInstance
from migrator.model import DiskFormat, DomainState
from migrator.rpc import Bus
from migrator.states import MigrationState
from tests.fakes.hypervisor import FakeDisk, FakeGuest
from tests.fakes.hypervisor_pools import FakePool, FakeStorage, FakeVolume
from tests.fakes.qcow2 import qcow2_head
from tests.functional.stories.fleet import ServiceUnderTest

MIB = 1024 * 1024
DISKS = (
    FakeDisk("local", "web1-vda"),
    FakeDisk("local", "web1-vdb", "vdb", "qcow2", "writeback"),
    FakeDisk("shared", "web1-vdc", "vdc"),
)
QCOW2 = qcow2_head(128 * MIB) + b"clusters"


def service_with(tmp_path: Path, bus: Bus, **settings: Any) -> ServiceUnderTest:
    chosen: dict[str, Any] = {"name": "c1", "encryption": "off", "lease_s": 3.0}
    chosen |= {"delete_grace_s": 0.1, "cold_stop_s": 0.2, **settings}
    return ServiceUnderTest(tmp_path, bus, settings=ConductorSettings(**chosen))


def furnish(service: ServiceUnderTest) -> None:
    """A pool of its own on each host; the disks of web1 on h1."""
    for host in service.fleet.hosts.values():
        host.pools.add(FakePool("local", FakeStorage(), "dir", "/local"))
    local(service, "h1").update(
        {
            "web1-vda": FakeVolume(b"raw", 64 * MIB, 8 * MIB),
            "web1-vdb": FakeVolume(QCOW2, 128 * MIB, MIB, DiskFormat.QCOW2),
        }
    )
    service.host("h1").pools["shared"].storage.volumes["web1-vdc"] = FakeVolume(b"shared")
    for host in service.fleet.hosts.values():
        for pool in ("local", "shared"):
            host.refresh_pool(pool)
    service.until(lambda: len(pools_called(service, "local")) == len(service.fleet.hosts))


def pools_called(service: ServiceUnderTest, name: str) -> list[str]:
    """Hosts a conductor knows to have a pool of that name."""
    return [each.host for each in service.client.list_pools(Empty()).pools if each.name == name]


def guest(service: ServiceUnderTest, running: bool, **fields: Any) -> str:
    return service.add_guest("h1", "web1", disks=DISKS, persistent=True, running=running, **fields)


def local(service: ServiceUnderTest, host: str) -> dict[str, FakeVolume]:
    return service.host(host).pools["local"].storage.volumes


def real(volumes: dict[str, FakeVolume]) -> set[str]:
    """Without tokens and marks."""
    return {name for name in volumes if not name.startswith(".migrator")}


def state_on(service: ServiceUnderTest, host: str, instance_id: str) -> DomainState:
    return service.host(host).view(instance_id).state


def cold(service: ServiceUnderTest, **fields: Any) -> MigrationView:
    return service.client.migrate(Migrate(instance="web1", kind="cold", host="h2", **fields))


def reached(service: ServiceUnderTest, migration: MigrationView, state: MigrationState) -> None:
    service.until(lambda: service.show(migration.id).state == state)


def claims(service: ServiceUnderTest) -> set[tuple[str, str]]:
    return {(each.host, each.purpose) for each in service.client.list_claims(Empty()).claims}


def owner(service: ServiceUnderTest) -> tuple[str | None, str]:
    shown = service.client.show_instance(NamedInstance(instance="web1"))
    return shown.host, shown.status


MEMORY = b"what it had in memory"
VARIABLES = b"boot order"
FIRMWARE = "/var/lib/libvirt/qemu/nvram"


def saved(service: ServiceUnderTest) -> str:
    """A UEFI guest with a saved memory image on h1."""
    xml = FakeGuest("web1", str(uuid.uuid4()), disks=DISKS).domain_xml()
    nvram = f"<nvram>{FIRMWARE}/web1_VARS.fd</nvram>"
    xml = xml.replace("<boot dev='hd'/>", f"{nvram}<boot dev='hd'/>")
    instance_id = ElementTree.fromstring(xml).findtext("uuid", "")
    web1 = guest(service, running=True, xml=xml, id=instance_id)
    files = service.host("h1").directory(FIRMWARE).volumes
    files["web1_VARS.fd"] = FakeVolume(VARIABLES, len(VARIABLES), len(VARIABLES))
    service.host("h1").save_guest(web1, MEMORY)
    service.until(lambda: owner(service) == ("h1", "shutoff"))
    return web1


def state_files(service: ServiceUnderTest, host: str) -> dict[str, bytes]:
    """Everything that lies where saved images and variables do."""
    return {
        name: volume.content
        for path in (SAVED_DIRECTORY, FIRMWARE)
        for name, volume in service.host(host).directory(path).volumes.items()
    }


EVERYTHING = {"web1.save": MEMORY, "web1_VARS.fd": VARIABLES}


def undone(service: ServiceUnderTest, web1: str) -> None:
    """It runs where it was, as it was, and nothing is left of the attempt."""
    assert service.running_on(web1) == ["h1"]
    view = service.host("h1").view(web1)
    assert (view.mark, view.autostart) == (None, True)
    assert state_on(service, "h2", web1) is DomainState.ABSENT
    assert real(local(service, "h1")) == {"web1-vda", "web1-vdb"}
    assert set(local(service, "h2")) == set()
    service.until(lambda: claims(service) == {("h1", "use")})

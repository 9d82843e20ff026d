"""Two hosts to run the Hypervisor contract on: fakes, and real ones of the lab."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from xml.etree import ElementTree

import pytest

from migrator.compute_agent.ports import (
    ConnectionChanged,
    Hypervisor,
    HypervisorEvent,
    LifecycleEvent,
)
from migrator.errors import MigratorError
from migrator.messages import TransferPlan
from migrator.model import VolumeRef
from migrator.threads import SystemClock, Threads
from tests.fakes.hypervisor import (
    FAST,
    FakeDisk,
    FakeFleet,
    FakeGuest,
    FakeHypervisor,
)
from tests.fakes.hypervisor_pools import FakePool, FakeStorage, FakeVolume

LAB = "-".join(filter(None, (os.environ.get("MIGRATOR_LAB", ""), "hv")))
"""Beside the lab of whoever runs the tests, if they work on one of their own."""
TOOL = Path(__file__).resolve().parents[2] / "tools" / "lab"
MOVE = ("live", "peer2peer")
BIG_MIB = 8192
"""Never touched by its guest: only zero pages, 9 bytes each, so 18 MiB to send, 18 s at 1 MiB/s."""


@dataclass(frozen=True)
class GuestWish:
    """A guest a test needs."""

    name: str = "contract"
    persistent: bool = False
    big: bool = False
    """With so much memory that a transfer at 1 MiB/s takes long."""
    volume: str | None = None
    """A volume in pool ``shared`` it has as its disk."""
    running: bool = True
    devices: str = ""
    """More of them, as XML."""


class Side:
    """One host of a world, and what was heard from it."""

    def __init__(self, name: str, hypervisor: Hypervisor, peer_uri: str, address: str) -> None:
        self.name = name
        self.hypervisor = hypervisor
        self.peer_uri = peer_uri
        self.address = address
        self.heard: list[HypervisorEvent] = []

    def connected(self) -> bool:
        """Whether the last thing it said of its connection is that it has one."""
        changes = [each for each in self.heard if isinstance(each, ConnectionChanged)]
        return bool(changes) and changes[-1].connected


class World(Protocol):
    """Two hosts that reach each other, sharing the pool ``shared``, each with a pool ``local``."""

    source: Side
    destination: Side
    lacking_feature: str
    """A CPU feature the destination does not have."""

    def start(self, wish: GuestWish, side: Side | None = None) -> str:
        """Start it on the source, or on ``side``; its id."""
        ...

    def make_volume(self, name: str) -> None:
        """In pool ``shared``, by the source; the destination has not looked since."""
        ...

    def fill(self, side: Side, ref: VolumeRef, parts: Mapping[int, bytes]) -> None:
        """Write into a volume: offset -> bytes."""
        ...

    def offer_pool(self, side: Side, name: str) -> None:
        """Another pool, active now."""
        ...

    def withdraw_pool(self, side: Side, name: str) -> None: ...

    def save(self, side: Side, instance_id: str) -> None:
        """Put its memory into an image, as `virsh managedsave` does."""
        ...

    def slow(self) -> None:
        """Transfers of big guests that start from now on take longer than the test."""
        ...

    def cut(self) -> None:
        """Drop what memory travels by, and nothing else."""
        ...

    def heal(self) -> None: ...

    def switched_on(self, instance_id: str) -> set[str]:
        """Migration capabilities of the source's QEMU, while its guest moves."""
        ...

    def kill_qemu(self, side: Side, instance_id: str) -> None: ...

    def kill_libvirtd(self, side: Side) -> None: ...

    def start_libvirtd(self, side: Side) -> None: ...

    def clean(self) -> None: ...


def plan(world: World, instance_id: str, *flags: str, **changes: Any) -> TransferPlan:
    """From source to destination, with the source's own live XML."""
    described = world.source.hypervisor.describe(instance_id)
    assert described is not None
    fields: dict[str, Any] = {
        "peer_uri": world.destination.peer_uri,
        "migrate_uri": f"tcp://{world.destination.address}",
        "listen_address": world.destination.address,
        "destination_xml": described.live_xml,
        "persistent_xml": None,
        "flags": [*MOVE, *flags],
        "bandwidth_mib_s": 1 if is_big(described.live_xml) else None,
        **changes,
    }
    return TransferPlan(**fields)


def is_big(xml: str) -> bool:
    """Whether it was wished for as big."""
    return int(ElementTree.fromstring(xml).findtext("memory", "0")) >= BIG_MIB * 1024


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for it; fails the test when it does not become so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


class Transfer:
    """A migrate call in a thread of its own, and how it ended."""

    def __init__(
        self, hypervisor: Hypervisor, instance_id: str, wanted: TransferPlan, resume: bool = False
    ) -> None:
        """:param resume: it continues a broken post-copy."""
        self.error: MigratorError | None = None
        self._arguments = (instance_id, wanted)
        self._call = hypervisor.resume_postcopy if resume else hypervisor.migrate
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._call(*self._arguments)
        except MigratorError as error:
            self.error = error

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def wait(self) -> MigratorError | None:
        """How it ended: None is well."""
        eventually(lambda: self.ended, 60)
        return self.error


def begin(world: World, instance_id: str, *flags: str, **changes: Any) -> Transfer:
    """Start a transfer that will not end by itself and wait until memory flows."""
    world.slow()
    transfer = Transfer(
        world.source.hypervisor, instance_id, plan(world, instance_id, *flags, **changes)
    )

    def flows() -> bool:
        job = world.source.hypervisor.job(instance_id)
        assert not transfer.ended, transfer.error
        return job is not None and job.memory_total > 0

    eventually(flows)
    return transfer


def lifecycle(side: Side, instance_id: str) -> list[tuple[str, str]]:
    return [
        (each.event, each.detail)
        for each in tuple(side.heard)
        if isinstance(each, LifecycleEvent) and each.instance_id == instance_id
    ]


# ---------------------------------------------------------------- fake


class FakeWorld:
    """On :class:`tests.fakes.hypervisor.FakeFleet`, with the real clock and short times."""

    lacking_feature = "avx512f"

    def __init__(self) -> None:
        self._fleet = FakeFleet(SystemClock(), Threads(), FAST)
        hosts = [self._fleet.add_host(name) for name in ("h1", "h2")]
        self._storage = self._fleet.share_pool("shared", ["h1", "h2"])
        for host in hosts:
            host.pools.add(FakePool("local", FakeStorage(), "dir", "/local"))
        self.source, self.destination = (
            Side(host.name, host, host.peer_uri, host.name) for host in hosts
        )
        self._fake(self.destination).lacking_features = frozenset({self.lacking_feature})
        for side in (self.source, self.destination):
            side.hypervisor.subscribe(side.heard.append)

    def _fake(self, side: Side) -> FakeHypervisor:
        assert isinstance(side.hypervisor, FakeHypervisor)
        return side.hypervisor

    def start(self, wish: GuestWish, side: Side | None = None) -> str:
        disks = [FakeDisk("shared", wish.volume)] if wish.volume else []
        return self._fake(side or self.source).add_guest(
            FakeGuest(
                wish.name,
                str(uuid.uuid4()),
                memory_mib=BIG_MIB if wish.big else 64,
                persistent=wish.persistent,
                running=wish.running,
                disks=disks,
                devices=wish.devices,
            )
        )

    def make_volume(self, name: str) -> None:
        self._storage.volumes[name] = FakeVolume()
        self._fake(self.source).refresh_pool("shared")

    def fill(self, side: Side, ref: VolumeRef, parts: Mapping[int, bytes]) -> None:
        volume = self._fake(side).pools.volume(ref.pool, ref.volume)
        assert volume is not None
        content = bytearray(volume.content.ljust(volume.size, b"\0"))
        for offset, part in parts.items():
            content[offset : offset + len(part)] = part
        volume.content, volume.allocated = bytes(content), sum(map(len, parts.values()))

    def offer_pool(self, side: Side, name: str) -> None:
        self._fake(side).pools.add(FakePool(name, FakeStorage(), "dir", "/tmp"))

    def withdraw_pool(self, side: Side, name: str) -> None:
        self._fake(side).pools.remove(name)

    def save(self, side: Side, instance_id: str) -> None:
        self._fake(side).save_guest(instance_id, b"memory")

    def slow(self) -> None:
        self._fleet.hold()

    def cut(self) -> None:
        self._fleet.stall()

    def heal(self) -> None:
        self._fleet.stall(False)

    def switched_on(self, instance_id: str) -> set[str]:
        transfer = self._fake(self.source).domains[instance_id].transfer
        assert transfer is not None
        names = {"parallel": "multifd", "compressed": transfer.plan.sending.compression or ""}
        return {names.get(flag, flag) for flag in transfer.plan.flags}

    def kill_qemu(self, side: Side, instance_id: str) -> None:
        self._fake(side).kill_qemu(instance_id)

    def kill_libvirtd(self, side: Side) -> None:
        self._fake(side).kill_libvirtd()

    def start_libvirtd(self, side: Side) -> None:
        self._fake(side).start_libvirtd()

    def clean(self) -> None:
        self._fleet.release()
        self._fleet.stall(False)


# ---------------------------------------------------------------- real

_DOMAIN = """<domain type='qemu'>
  <name>{name}</name>
  <uuid>{id}</uuid>
  <memory unit='MiB'>{memory_mib}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <cpu mode='custom' match='exact'><model>qemu64</model></cpu>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>{disk}
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
</domain>"""
_DISK = """
    <disk type='volume' device='disk'>
      <driver name='qemu' type='raw' cache='none'/>
      <source pool='shared' volume='{volume}'/>
      <target dev='vda' bus='virtio'/>
    </disk>"""
_POOL = "<pool type='dir'><name>{name}</name><target><path>/mnt</path></target></pool>"
_VOLUME = """<volume><name>{name}</name><capacity unit='MiB'>4</capacity>
<target><format type='raw'/></target></volume>"""


@dataclass
class LabHosts:
    """The lab of this suite, started once."""

    hosts: Sequence[dict[str, Any]] = field(default_factory=list)

    def lab(self, *words: str) -> str:
        environment = {**os.environ, "MIGRATOR_LAB": LAB}
        done = subprocess.run(
            [str(TOOL), *words], env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def up(self) -> None:
        self.lab("down")  # what an interrupted run left behind
        self.lab("up", "--no-services", "--hosts", "2")
        self.hosts = json.loads(self.lab("hosts", "-f", "json"))


class LabWorld:
    """Two real libvirts. What the port has no verb for is done with libvirt directly."""

    lacking_feature = "avx512f"

    def __init__(self, lab: LabHosts) -> None:
        import libvirt

        from migrator.compute_agent.libvirt_hypervisor import LibvirtHypervisor

        self._lab = lab
        self._complete = True
        """Nothing of the lab was killed and not started again."""
        self._cut = False
        self._open = libvirt.open
        self._volumes: list[str] = []
        self._instances: list[str] = []
        sides = []
        for host in lab.hosts:
            hypervisor = LibvirtHypervisor(host["libvirt_uri"])
            side = Side(host["name"], hypervisor, host["peer_uri"], host["migration_address"])
            hypervisor.subscribe(side.heard.append)
            sides.append(side)
        self.source, self.destination = sides
        self._uris = {host["name"]: host["libvirt_uri"] for host in lab.hosts}
        eventually(self.source.connected)
        eventually(self.destination.connected)

    def start(self, wish: GuestWish, side: Side | None = None) -> str:
        conn = self._open(self._uris[(side or self.source).name])
        disk = (_DISK.format(volume=wish.volume) if wish.volume else "") + wish.devices
        instance_id = str(uuid.uuid4())
        xml = _DOMAIN.format(
            name=wish.name, id=instance_id, memory_mib=BIG_MIB if wish.big else 64, disk=disk
        )
        self._instances.append(instance_id)
        if wish.persistent or not wish.running:
            domain = conn.defineXML(xml)
            if wish.running:
                domain.create()
        else:
            conn.createXML(xml, 0)
        conn.close()
        return instance_id

    def make_volume(self, name: str) -> None:
        conn = self._open(self._uris[self.source.name])
        pool = conn.storagePoolLookupByName("shared")
        self._volumes.append(name)
        pool.createXML(_VOLUME.format(name=name), 0)
        conn.close()

    def fill(self, side: Side, ref: VolumeRef, parts: Mapping[int, bytes]) -> None:
        conn = self._open(self._uris[side.name])
        volume = conn.storagePoolLookupByName(ref.pool).storageVolLookupByName(ref.volume)
        for offset, part in parts.items():
            stream = conn.newStream(0)
            volume.upload(stream, offset, len(part), 0)
            stream.send(part)
            stream.finish()
        conn.close()

    def offer_pool(self, side: Side, name: str) -> None:
        conn = self._open(self._uris[side.name])
        conn.storagePoolCreateXML(_POOL.format(name=name), 0)
        conn.close()

    def withdraw_pool(self, side: Side, name: str) -> None:
        conn = self._open(self._uris[side.name])
        conn.storagePoolLookupByName(name).destroy()
        conn.close()

    def save(self, side: Side, instance_id: str) -> None:
        conn = self._open(self._uris[side.name])
        conn.lookupByUUIDString(instance_id).managedSave(0)
        conn.close()

    def slow(self) -> None:
        """Big guests are sent at 1 MiB/s anyway."""

    def cut(self) -> None:
        self._cut = True
        self._lab.lab("cut", self.source.name, "--plane", "migration")

    def heal(self) -> None:
        self._lab.lab("heal", self.source.name, "--plane", "migration")
        self._cut = False

    def switched_on(self, instance_id: str) -> set[str]:
        import libvirt_qemu

        conn = self._open(self._uris[self.source.name])
        domain = conn.lookupByUUIDString(instance_id)
        asked = json.dumps({"execute": "query-migrate-capabilities"})
        answer = json.loads(libvirt_qemu.qemuMonitorCommand(domain, asked, 0))
        conn.close()
        return {each["capability"] for each in answer["return"] if each["state"]}

    def kill_qemu(self, side: Side, instance_id: str) -> None:
        name = side.hypervisor.view(instance_id).name
        hosts = json.loads(self._lab.lab("hosts", "-f", "json"))
        (pid,) = (host["pids"]["qemu"][name] for host in hosts if host["name"] == side.name)
        os.kill(pid, signal.SIGKILL)

    def kill_libvirtd(self, side: Side) -> None:
        self._complete = False
        self._lab.lab("kill", "libvirtd", side.name)

    def start_libvirtd(self, side: Side) -> None:
        self._lab.lab("up")
        self._complete = True

    def clean(self) -> None:
        if self._cut:
            self.heal()
        if not self._complete:
            self.start_libvirtd(self.source)
        for side in (self.source, self.destination):
            eventually(side.connected)
            for instance_id in self._instances:
                eventually(partial(_removed, side.hypervisor, instance_id))
            side.hypervisor.close()
        conn = self._open(self._uris[self.source.name])
        pool = conn.storagePoolLookupByName("shared")
        for name in self._volumes:
            pool.storageVolLookupByName(name).delete(0)
        conn.close()


def _removed(hypervisor: Hypervisor, instance_id: str) -> bool:
    try:
        hypervisor.abort_job(instance_id)
        hypervisor.destroy(instance_id)
        hypervisor.undefine_whole(instance_id)
    except MigratorError:
        return False
    return not hypervisor.view(instance_id).active


@pytest.fixture(scope="session")
def lab() -> Iterator[LabHosts]:
    """The suite's own lab; skips where it cannot be."""
    if os.geteuid() != 0 or shutil.which("libvirtd") is None:
        pytest.skip("needs root and libvirtd (tools/setup lab)")
    made = LabHosts()
    made.up()
    yield made
    made.lab("down")


@pytest.fixture(params=["fake", pytest.param("lab", marks=pytest.mark.nested)])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """The two hosts, cleaned up afterwards."""
    made: World
    made = FakeWorld() if request.param == "fake" else LabWorld(request.getfixturevalue("lab"))
    yield made
    made.clean()

"""Which storage a pool is, told by its kind's own means: fakes of every kind, and libvirt's test driver.

The test driver keeps pools of every kind in memory: it takes the XML as libvirt does and knows volumes
by name, but has neither streams nor LVM. Pools of files on real hosts are in ``test_hypervisor.py``.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import libvirt
import pytest

from migrator.errors import Refused
from migrator.messages import PlannedVolume, PoolIdentity
from migrator.model import DiskFormat
from migrator.storage.backends import BACKENDS
from migrator.storage.identity import same_storage
from migrator.storage.libvirt_identity import read_identity, write_identity
from migrator.storage.libvirt_pools import has_volume, pool_facts
from migrator.storage.libvirt_volumes import create_volume, delete_volume
from tests.fakes.hypervisor_pools import FakePool, FakePools, FakeStorage, FakeVolume

KINDS = sorted(BACKENDS)
HERE, THERE = str(uuid.uuid4()), str(uuid.uuid4())
SOURCES = {
    "dir": "",
    "fs": "<source><device path='/dev/sdz1'/></source>",
    "netfs": "<source><host name='nas'/><dir path='/export'/></source>",
    "logical": "<source><name>vg0</name></source>",
    "rbd": "<source><host name='mon1' port='6789'/><name>vms</name></source>",
}


VOLUME = """<volume><name>g-vda</name><capacity unit='MiB'>1</capacity>
<target><format type='raw'/></target></volume>"""


@dataclass
class FakeEnd:
    """One host's pool ``p``."""

    host_uuid: str
    storage: FakeStorage
    kind: str
    nonce: str = field(default_factory=lambda: str(uuid.uuid4()))

    def __post_init__(self) -> None:
        self.pools = FakePools(self.host_uuid, self.nonce)
        self.pools.add(FakePool("p", self.storage, self.kind))

    def write(self) -> PoolIdentity:
        return self.pools.write_identity("p", ["g-vda"])

    def read(self, written: PoolIdentity) -> PoolIdentity | None:
        return self.pools.read_identity("p", written)


@dataclass
class TestDriverEnd:
    """The same, of a libvirt without a host."""

    __test__ = False
    host_uuid: str
    conn: libvirt.virConnect
    nonce: str = field(default_factory=lambda: str(uuid.uuid4()))

    def write(self) -> PoolIdentity:
        return write_identity(self.conn, "p", self.host_uuid, self.nonce, ["g-vda"])

    def read(self, written: PoolIdentity) -> PoolIdentity | None:
        return read_identity(self.conn, "p", written)


End = FakeEnd | TestDriverEnd
Open = Callable[[str], libvirt.virConnect]


@pytest.fixture
def libvirt_with(tmp_path: Path) -> Open:
    """A libvirt of its own, with an empty pool ``p`` of that kind."""

    def opened(kind: str) -> libvirt.virConnect:
        node = tmp_path / f"{uuid.uuid4()}.xml"
        node.write_text("<node/>")
        conn = libvirt.open(f"test://{node}")
        target = "" if kind == "rbd" else "<target><path>/pools/p</path></target>"
        pool = f"<pool type='{kind}'><name>p</name>{SOURCES[kind]}{target}</pool>"
        conn.storagePoolCreateXML(pool, 0)
        return conn

    return opened


def ends(where: str, kind: str, shared: bool, opened: Open) -> tuple[End, End]:
    """The destination, which writes, and the source, which reads; each has the guest's volume."""
    if where == "fake":
        one = FakeStorage({"g-vda": FakeVolume()})
        other = one if shared else FakeStorage({"g-vda": FakeVolume()})
        return FakeEnd(THERE, one, kind), FakeEnd(HERE, other, kind)
    conn = opened(kind)
    far = conn if shared else opened(kind)
    for each in {id(conn): conn, id(far): far}.values():
        each.storagePoolLookupByName("p").createXML(VOLUME, 0)
    return TestDriverEnd(THERE, conn), TestDriverEnd(HERE, far)


def wanted(name: str, form: DiskFormat = DiskFormat.RAW) -> PlannedVolume:
    return PlannedVolume(pool="p", volume=name, format=form, virtual_size=1024 * 1024)


PROVABLE = [*(("fake", kind) for kind in KINDS), ("libvirt", "rbd")]


@pytest.mark.parametrize(("where", "kind"), PROVABLE)
def test_one_storage_seen_by_two_hosts_is_proven_again_and_again(
    where: str, kind: str, libvirt_with: Open
) -> None:
    writer, reader = ends(where, kind, shared=True, opened=libvirt_with)
    for _ in range(2):
        written = writer.write()
        assert same_storage(written, reader.read(written)) is None


@pytest.mark.parametrize(("where", "kind"), [*PROVABLE, ("libvirt", "logical")])
def test_two_storages_of_one_name_with_volumes_of_one_name_are_not(
    where: str, kind: str, libvirt_with: Open
) -> None:
    writer, reader = ends(where, kind, shared=False, opened=libvirt_with)
    reader.write()
    written = writer.write()
    refusal = same_storage(written, reader.read(written))
    assert refusal is not None
    assert refusal.code == "disk.not_shared"
    assert "'p'" in refusal.message


def test_a_process_leaves_no_nonce_of_those_before_it_where_it_is_a_name(
    libvirt_with: Open,
) -> None:
    conn = libvirt_with("rbd")
    first, second = TestDriverEnd(THERE, conn), TestDriverEnd(THERE, conn)
    stranger = TestDriverEnd(HERE, conn)
    for end in (first, stranger, second):
        end.write()
    names = [each for each in conn.storagePoolLookupByName("p").listVolumes() if "nonce" in each]
    assert len(names) == 2
    assert first.nonce not in "".join(names)
    written = first.write()
    assert same_storage(written, stranger.read(written)) is None


def test_a_name_that_is_no_nonce_is_not_looked_for(libvirt_with: Open) -> None:
    conn = libvirt_with("rbd")
    end = TestDriverEnd(THERE, conn)
    end.write()
    strange = PoolIdentity("p", "rbd", None, "", "../x", THERE, proof=end.write().proof)
    assert end.read(strange) is None


def test_without_a_uuid_from_lvm_a_logical_volume_proves_nothing(libvirt_with: Open) -> None:
    """libvirt's test driver calls volumes by their path, which every host may have."""
    writer, reader = ends("libvirt", "logical", shared=True, opened=libvirt_with)
    written = writer.write()
    refusal = same_storage(written, reader.read(written))
    assert refusal is not None
    assert "UUID" in refusal.message


@pytest.mark.parametrize("kind", KINDS)
def test_libvirt_takes_what_a_kind_makes_its_volumes_with(kind: str, libvirt_with: Open) -> None:
    conn = libvirt_with(kind)
    for form in BACKENDS[kind].formats:
        volume = wanted(f"made-{form}", form)
        assert create_volume(conn, volume)
        assert not create_volume(conn, volume)
        assert has_volume(conn, "p", volume.volume)
        assert delete_volume(conn, "p", volume.volume)
        assert not delete_volume(conn, "p", volume.volume)
    for form in set(DiskFormat) - set(BACKENDS[kind].formats):
        with pytest.raises(Refused) as refusal:
            create_volume(conn, wanted("made", form))
        assert refusal.value.code == "pool.cannot"


@pytest.mark.parametrize("kind", KINDS)
def test_a_pool_of_every_kind_tells_what_it_is(kind: str, libvirt_with: Open) -> None:
    (facts,) = pool_facts(libvirt_with(kind))
    backend = BACKENDS[kind]
    assert (facts.kind, facts.formats, facts.lacks) == (kind, backend.formats, backend.lacks)
    assert facts.capacity > 0

"""Storage pools of fake hosts; two hosts' pools over one storage are shared."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from migrator.errors import Refused, Transient
from migrator.messages import PlannedVolume, PoolIdentity
from migrator.model import DiskFormat, PoolFacts, PoolProof, VolumeInfo
from migrator.storage.backends import backend_of
from tests.fakes.qcow2 import qcow2_head

MIB = 1024 * 1024
_KEYS = itertools.count(1)
QCOW2_EMPTY = 196_624
"""Length of a qcow2 file that holds nothing yet."""


@dataclass
class FakeVolume:
    """What is really in a volume; ``allocated`` in bytes."""

    content: bytes = b""
    size: int = 4 * MIB
    allocated: int = 0
    format: DiskFormat = DiskFormat.RAW
    """Known to the fake alone: the port never tells it."""
    key: str = field(default_factory=lambda: f"fake00-0000-0000-0000-0000-0000-{next(_KEYS):06}")
    """As LVM would call it."""

    @property
    def length(self) -> int:
        return self.size if self.format is DiskFormat.RAW else QCOW2_EMPTY


@dataclass
class FakeStorage:
    """What is really behind a pool; sizes in bytes."""

    volumes: dict[str, FakeVolume] = field(default_factory=dict)
    capacity: int = 64 * 1024 * MIB
    read_only: bool = False
    token: str | None = None
    nonces: dict[str, str] = field(default_factory=dict)
    """host UUID -> nonce written by the agent of that host."""


@dataclass
class FakePool:
    """One host's pool: it knows the volumes that were there at its last refresh."""

    name: str
    storage: FakeStorage
    kind: str = "dir"
    path: str | None = None
    active: bool = True
    known: set[str] = field(default_factory=set)


class FakePools:
    """The pools of one host, written to by one agent with one nonce."""

    def __init__(self, host_uuid: str, nonce: str) -> None:
        self._host_uuid = host_uuid
        self._nonce = nonce
        self._pools: dict[str, FakePool] = {}
        self.on_change: Callable[[str], None] = lambda name: None
        """Told the name of a pool that came or went."""

    def add(self, pool: FakePool) -> None:
        self._pools[pool.name] = pool
        self.on_change(pool.name)

    def remove(self, name: str) -> None:
        self._pools.pop(name, None)
        self.on_change(name)

    def __getitem__(self, name: str) -> FakePool:
        return self._pools[name]

    def active(self) -> tuple[str, ...]:
        return tuple(sorted(pool.name for pool in self._pools.values() if pool.active))

    def knows(self, pool: str, volume: str) -> bool:
        return pool in self._pools and volume in self._pools[pool].known

    def refresh(self, name: str) -> None:
        pool = self._get(name)
        pool.known = set(pool.storage.volumes)

    def has_volume(self, name: str, volume: str) -> bool:
        return volume in self._get(name).known

    def facts(self) -> list[PoolFacts]:
        return [_facts(pool) for _, pool in sorted(self._pools.items()) if pool.active]

    def over(self, path: str) -> str | None:
        """The active pool whose directory it is."""
        found = (pool.name for pool in self._pools.values() if pool.active and pool.path == path)
        return next(found, None)

    def at_path(self, path: str) -> tuple[str, str] | None:
        """(pool, volume) that has it."""
        for pool in self._pools.values():
            directory, _, name = path.rpartition("/")
            if pool.active and pool.path == directory and name in pool.storage.volumes:
                return pool.name, name
        return None

    def path_of(self, name: str, volume: str) -> str | None:
        pool = self._pools.get(name)
        return None if pool is None or pool.path is None else f"{pool.path}/{volume}"

    def volume(self, name: str, volume: str) -> FakeVolume | None:
        pool = self._get(name)
        pool.known = set(pool.storage.volumes)
        return pool.storage.volumes.get(volume)

    def info(self, name: str, volume: str) -> VolumeInfo | None:
        found = self.volume(name, volume)
        return None if found is None else VolumeInfo(found.length, found.allocated)

    def read(self, name: str, volume: str, offset: int, length: int) -> bytes:
        kind = self._get(name).kind
        if not backend_of(kind).streams:
            raise Refused("pool.cannot", f"there are no streams in a pool of kind {kind}")
        found = self.volume(name, volume)
        if found is None:
            raise _missing(name, volume)
        content = found.content.ljust(found.length, b"\0")
        return content[offset : offset + length]

    def create(self, wanted: PlannedVolume) -> bool:
        pool = self._get(wanted.pool)
        if wanted.backing is not None and not self.volume(
            wanted.backing.pool or wanted.pool, wanted.backing.volume or ""
        ):
            raise _missing(wanted.backing.pool or wanted.pool, wanted.backing.volume or "")
        backing = wanted.backing
        base = (
            ""
            if backing is None
            else self.path_of(backing.pool or wanted.pool, backing.volume or "")
        )
        backend_of(pool.kind).volume_xml(wanted, backing_path=base)
        if self.volume(wanted.pool, wanted.volume) is not None:
            return False
        if pool.storage.read_only:
            raise Transient("libvirt.error", "cannot create path: Read-only file system")
        raw = wanted.format is DiskFormat.RAW
        empty = b"" if raw else qcow2_head(wanted.virtual_size, base or "")
        pool.storage.volumes[wanted.volume] = FakeVolume(
            empty, wanted.virtual_size, format=wanted.format
        )
        pool.known.add(wanted.volume)
        return True

    def delete(self, name: str, volume: str) -> bool:
        pool = self._get(name)
        pool.known.discard(volume)
        return pool.storage.volumes.pop(volume, None) is not None

    def write_identity(self, name: str, volumes: Sequence[str] = ()) -> PoolIdentity:
        pool = self._get(name)
        storage, proof = pool.storage, backend_of(pool.kind).proof
        if proof in (PoolProof.CONTENT, PoolProof.NAMES):
            storage.nonces[self._host_uuid] = self._nonce
        if proof is PoolProof.CONTENT:
            storage.token = storage.token or f"token-{self._host_uuid}"
        return self._identity(pool, self._host_uuid, volumes)

    def read_identity(self, name: str, written_by: PoolIdentity) -> PoolIdentity | None:
        pool = self._get(name)
        found = self._identity(pool, written_by.writer, list(written_by.keys))
        return found if found.nonce or found.keys else None

    def _identity(self, pool: FakePool, writer: str, volumes: Sequence[str]) -> PoolIdentity:
        storage, proof = pool.storage, backend_of(pool.kind).proof
        seen = [self.volume(pool.name, volume) for volume in volumes]
        keys = {
            name: volume.key
            for name, volume in zip(volumes, seen, strict=True)
            if volume is not None and proof is PoolProof.KEYS
        }
        return PoolIdentity(
            name=pool.name,
            kind=pool.kind,
            path=pool.path,
            token=storage.token or "",
            nonce=storage.nonces.get(writer, ""),
            writer=writer,
            proof=proof,
            keys=keys,
        )

    def _get(self, name: str) -> FakePool:
        pool = self._pools.get(name)
        if pool is None or not pool.active:
            raise Refused("pool.missing", f"there is no active storage pool {name!r}", pool=name)
        return pool


def _facts(pool: FakePool) -> PoolFacts:
    backend = backend_of(pool.kind)
    storage = pool.storage
    allocation = sum(volume.allocated for volume in storage.volumes.values())
    return PoolFacts(
        name=pool.name,
        kind=pool.kind,
        uuid=f"uuid-of-{pool.name}",
        path=pool.path,
        source=None,
        capacity=storage.capacity,
        allocation=allocation,
        available=max(storage.capacity - allocation, 0),
        formats=backend.formats,
        lacks=backend.lacks,
    )


def _missing(pool: str, volume: str) -> Refused:
    return Refused(
        "volume.missing", f"there is no volume {volume!r} in {pool!r}", pool=pool, volume=volume
    )

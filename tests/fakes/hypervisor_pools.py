"""Storage pools of fake hosts; two hosts' pools over one storage are shared."""

from __future__ import annotations

from dataclasses import dataclass, field

from migrator.errors import Refused
from migrator.messages import PoolIdentity

FILE_KINDS = frozenset({"dir", "fs", "netfs"})


@dataclass
class FakeStorage:
    """What is really behind a pool."""

    volumes: set[str] = field(default_factory=set)
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

    def add(self, pool: FakePool) -> None:
        self._pools[pool.name] = pool

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

    def write_identity(self, name: str) -> PoolIdentity:
        pool = self._file_pool(name)
        pool.storage.token = pool.storage.token or f"token-{self._host_uuid}"
        pool.storage.nonces[self._host_uuid] = self._nonce
        return PoolIdentity(
            name=name,
            kind=pool.kind,
            path=pool.path,
            token=pool.storage.token,
            nonce=self._nonce,
            writer=self._host_uuid,
        )

    def read_identity(self, name: str, written_by: PoolIdentity) -> PoolIdentity | None:
        pool = self._file_pool(name)
        nonce = pool.storage.nonces.get(written_by.writer)
        if pool.storage.token is None or nonce is None:
            return None
        return PoolIdentity(
            name=name,
            kind=pool.kind,
            path=pool.path,
            token=pool.storage.token,
            nonce=nonce,
            writer=written_by.writer,
        )

    def _get(self, name: str) -> FakePool:
        pool = self._pools.get(name)
        if pool is None or not pool.active:
            raise Refused("pool.missing", f"there is no active storage pool {name!r}", pool=name)
        return pool

    def _file_pool(self, name: str) -> FakePool:
        pool = self._get(name)
        if pool.kind not in FILE_KINDS:
            raise Refused("disk.not_shared", f"pool {name!r} is not known to be shared", pool=name)
        return pool

"""Storage pools through libvirt: lookup and refresh.

Everything a pool says of a volume beyond its name is untrusted (a guest can make libvirt believe its
raw volume is a qcow2 image), so nothing else is asked. Contents are read and written by volume streams
only: no path is ever opened, and the host may be somewhere else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from xml.etree import ElementTree

import libvirt

from migrator.errors import Refused
from migrator.model import PoolFacts
from migrator.storage.backends import Backend, backend_of


def pool_facts(conn: libvirt.virConnect) -> list[PoolFacts]:
    """Of every active pool, by name; one that goes while we look is left out."""
    found = []
    for pool in conn.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        try:
            found.append(_facts(pool))
        except libvirt.libvirtError as error:
            if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_POOL:
                raise
    return sorted(found, key=lambda pool: pool.name)


def _facts(pool: libvirt.virStoragePool) -> PoolFacts:
    description = describe(pool)
    kind, backend = kind_of(description)
    _, capacity, allocation, available = pool.info()
    return PoolFacts(
        name=pool.name(),
        kind=kind,
        uuid=pool.UUIDString(),
        path=description.findtext("target/path"),
        source=backend.source(description),
        capacity=capacity,
        allocation=allocation,
        available=available,
        formats=backend.formats,
        lacks=backend.lacks,
    )


def refresh(conn: libvirt.virConnect, name: str) -> None:
    """Let libvirt see what others put there."""
    active_pool(conn, name).refresh(0)


def has_volume(conn: libvirt.virConnect, pool: str, volume: str) -> bool:
    """As of the pool's last refresh."""
    return find_volume(active_pool(conn, pool), volume) is not None


def path_of(conn: libvirt.virConnect, pool: str, volume: str) -> str | None:
    """Where this host has it, as of the pool's last refresh; None when it has not."""
    try:
        found = find_volume(active_pool(conn, pool), volume)
    except Refused:
        return None
    return None if found is None else str(found.path())


def volume_at_path(conn: libvirt.virConnect, path: str) -> tuple[str, str] | None:
    """(pool, volume) of the active pool that holds the path; None when none does."""
    try:
        volume = conn.storageVolLookupByPath(path)
        return volume.storagePoolLookupByVolume().name(), volume.name()
    except libvirt.libvirtError as error:
        if error.get_error_code() in (
            libvirt.VIR_ERR_NO_STORAGE_VOL,
            libvirt.VIR_ERR_NO_STORAGE_POOL,
        ):
            return None
        raise


def active_pool(conn: libvirt.virConnect, name: str) -> libvirt.virStoragePool:
    try:
        pool = conn.storagePoolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_POOL:
            raise
        raise Refused(
            "pool.missing",
            f"this host has no storage pool {name!r}; define it with `virsh pool-define-as`",
            pool=name,
        ) from error
    if not pool.isActive():
        raise Refused(
            "pool.missing",
            f"storage pool {name!r} is not active on this host; start it with `virsh pool-start"
            f" {name}`",
            pool=name,
        )
    return pool


def describe(pool: libvirt.virStoragePool) -> ElementTree.Element:
    """What libvirt says of the pool itself."""
    return ElementTree.fromstring(pool.XMLDesc(0))


def kind_of(description: ElementTree.Element) -> tuple[str, Backend]:
    """libvirt's name of its kind, and what such a pool can do."""
    kind = description.get("type", "")
    return kind, backend_of(kind)


def find_volume(pool: libvirt.virStoragePool, name: str) -> libvirt.virStorageVol | None:
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
            return None
        raise


def seen_volume(pool: libvirt.virStoragePool, name: str) -> libvirt.virStorageVol | None:
    """Looks again after a refresh: another host may have made it."""
    volume = find_volume(pool, name)
    if volume is None:
        pool.refresh(0)
        volume = find_volume(pool, name)
    return volume


@contextlib.contextmanager
def stream_of(conn: libvirt.virConnect) -> Iterator[libvirt.virStream]:
    """A stream that is finished when all went well and aborted when not."""
    stream = conn.newStream(0)
    try:
        yield stream
    except BaseException:
        with contextlib.suppress(libvirt.libvirtError):
            stream.abort()
        raise
    stream.finish()

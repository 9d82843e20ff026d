"""Volumes through libvirt: made, deleted, measured, and read as bytes.

Whatever could make libvirt interpret a volume that a guest has written to is not used: its format, its
capacity and its backing store are the guest's word, cloning and resizing act on that word.
"""

from __future__ import annotations

import libvirt

from migrator.errors import Refused
from migrator.messages import PlannedVolume
from migrator.model import VolumeInfo
from migrator.storage.libvirt_pools import (
    active_pool,
    describe,
    find_volume,
    kind_of,
    seen_volume,
    stream_of,
)

CHUNK = 256 * 1024
"""libvirt's own limit for one message of a stream."""


def volume_info(conn: libvirt.virConnect, pool: str, volume: str) -> VolumeInfo | None:
    """None when the pool does not have it."""
    found = seen_volume(active_pool(conn, pool), volume)
    if found is None:
        return None
    _, _, allocated = found.info()
    _, _, length = found.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)
    return VolumeInfo(length=length, allocated=allocated)


def read_volume(
    conn: libvirt.virConnect, pool: str, volume: str, offset: int, length: int
) -> bytes:
    """Some of its bytes."""
    holder = active_pool(conn, pool)
    kind, backend = kind_of(describe(holder))
    if not backend.streams:
        raise Refused(
            "pool.cannot",
            f"the bytes of volume {volume!r} cannot be read: libvirt has no streams for pools of kind"
            f" {kind}",
            pool=pool,
            volume=volume,
        )
    found = seen_volume(holder, volume)
    if found is None:
        raise _missing(pool, volume)
    content = bytearray()
    with stream_of(conn) as stream:
        found.download(stream, offset, length)
        while chunk := stream.recv(CHUNK):
            content += chunk
    return bytes(content[:length])


def create_volume(conn: libvirt.virConnect, wanted: PlannedVolume) -> bool:
    """Make it; False when a volume of that name is there."""
    pool = active_pool(conn, wanted.pool)
    _, backend = kind_of(describe(pool))
    xml = backend.volume_xml(wanted, _backing_path(conn, wanted))
    # Another host of a shared pool may have made one that libvirt has not seen here.
    if seen_volume(pool, wanted.volume) is not None:
        return False
    try:
        pool.createXML(xml, 0)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_STORAGE_VOL_EXIST:
            return False
        if seen_volume(pool, wanted.volume) is not None:
            return False
        raise
    return True


def delete_volume(conn: libvirt.virConnect, pool: str, volume: str) -> bool:
    """False when there was none."""
    holder = active_pool(conn, pool)
    # libvirt calls it a success to delete what another host has deleted.
    holder.refresh(0)
    found = find_volume(holder, volume)
    if found is None:
        return False
    try:
        found.delete(0)
    except libvirt.libvirtError:
        holder.refresh(0)
        if find_volume(holder, volume) is None:
            return False
        raise
    return True


def _backing_path(conn: libvirt.virConnect, wanted: PlannedVolume) -> str | None:
    backing = wanted.backing
    if backing is None:
        return None
    pool, volume = backing.pool or wanted.pool, backing.volume or ""
    found = seen_volume(active_pool(conn, pool), volume)
    if found is None:
        raise _missing(pool, volume)
    return str(found.path())


def _missing(pool: str, volume: str) -> Refused:
    return Refused(
        "volume.missing",
        f"there is no volume {volume!r} in storage pool {pool!r} of this host",
        pool=pool,
        volume=volume,
    )

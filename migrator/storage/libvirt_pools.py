"""Storage pools through libvirt: lookup, refresh, and proof of which storage a pool is.

Everything a pool says of a volume beyond its name is untrusted (a guest can make libvirt believe its
raw volume is a qcow2 image), so nothing else is asked. Contents are read and written by volume streams
only: no path is ever opened, and the host may be somewhere else.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from xml.etree import ElementTree

import libvirt

from migrator.errors import Refused, Transient
from migrator.messages import PoolIdentity
from migrator.model import PoolFacts
from migrator.storage.backends import backend_of

TOKEN_VOLUME = ".migrator-token"
NONCE_VOLUME = ".migrator-nonce-{host_uuid}"
FILE_POOLS = frozenset({"dir", "fs", "netfs"})
"""Kinds whose volumes are files that every host sees under the same names."""
UUID_LENGTH = 36
_CHUNK = 64 * 1024

_VOLUME = """<volume>
  <name>{name}</name>
  <capacity unit='bytes'>{size}</capacity>
  <allocation unit='bytes'>{size}</allocation>
  <target><format type='raw'/><permissions><mode>0600</mode></permissions></target>
</volume>"""


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
    description = ElementTree.fromstring(pool.XMLDesc(0))
    kind = description.get("type", "")
    backend = backend_of(kind)
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


def write_identity(conn: libvirt.virConnect, name: str, host_uuid: str, nonce: str) -> PoolIdentity:
    """Make the pool's token unless it has one, and write this agent's nonce unless it is there."""
    pool, kind, path = _file_pool(conn, name)
    token = _read(conn, pool, TOKEN_VOLUME)
    if token is None:
        _write(conn, pool, TOKEN_VOLUME, str(uuid.uuid4()))
        # whoever else made one at the same moment: all agree on what is there now
        token = _read(conn, pool, TOKEN_VOLUME)
    volume = NONCE_VOLUME.format(host_uuid=host_uuid)
    if _read(conn, pool, volume) != nonce:
        _write(conn, pool, volume, nonce)
    if token is None:
        raise Transient(
            "libvirt.error", f"the token written into pool {name!r} cannot be read back"
        )
    return PoolIdentity(name=name, kind=kind, path=path, token=token, nonce=nonce, writer=host_uuid)


def read_identity(
    conn: libvirt.virConnect, name: str, written_by: PoolIdentity
) -> PoolIdentity | None:
    """The token and the writer's nonce as this host's pool of that name holds them."""
    if not _is_uuid(written_by.writer):
        return None
    pool, kind, path = _file_pool(conn, name)
    token = _read(conn, pool, TOKEN_VOLUME)
    nonce = _read(conn, pool, NONCE_VOLUME.format(host_uuid=written_by.writer))
    if token is None or nonce is None:
        return None
    return PoolIdentity(
        name=name, kind=kind, path=path, token=token, nonce=nonce, writer=written_by.writer
    )


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


def _file_pool(
    conn: libvirt.virConnect, name: str
) -> tuple[libvirt.virStoragePool, str, str | None]:
    pool = active_pool(conn, name)
    description = ElementTree.fromstring(pool.XMLDesc(0))
    kind = description.get("type", "")
    if kind not in FILE_POOLS:
        raise Refused(
            "disk.not_shared",
            f"storage pool {name!r} is of kind {kind!r}, which is not known to be shared; pools of"
            f" kind {', '.join(sorted(FILE_POOLS))} can be proven to be",
            pool=name,
            kind=kind,
        )
    return pool, kind, description.findtext("target/path")


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


def _read(conn: libvirt.virConnect, pool: libvirt.virStoragePool, name: str) -> str | None:
    """The UUID in it; None when it is missing or holds anything else (made, not written yet)."""
    volume = seen_volume(pool, name)
    if volume is None:
        return None
    content = b""
    with stream_of(conn) as stream:
        volume.download(stream, 0, UUID_LENGTH)
        while chunk := stream.recv(_CHUNK):
            content += chunk
    text = content.decode("ascii", "replace")
    return text if _is_uuid(text) else None


def _write(conn: libvirt.virConnect, pool: libvirt.virStoragePool, name: str, text: str) -> None:
    volume = seen_volume(pool, name) or _created(pool, name)
    with stream_of(conn) as stream:
        volume.upload(stream, 0, UUID_LENGTH)
        stream.send(text.encode("ascii"))


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


def _created(pool: libvirt.virStoragePool, name: str) -> libvirt.virStorageVol:
    try:
        return pool.createXML(_VOLUME.format(name=name, size=UUID_LENGTH), 0)
    except libvirt.libvirtError:
        volume = seen_volume(pool, name)
        if volume is None:
            raise
        return volume


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False

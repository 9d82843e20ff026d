"""Proof of which storage a pool is, through libvirt: as its kind allows.

Nothing here trusts a volume's content: tokens and nonces are this service's own volumes, and what is
read of a guest's is the UUID its storage gave it.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterable

import libvirt
import msgspec

from migrator.errors import Transient
from migrator.messages import PoolIdentity
from migrator.model import PoolProof
from migrator.storage.libvirt_pools import (
    active_pool,
    describe,
    kind_of,
    seen_volume,
    stream_of,
)

TOKEN_VOLUME = ".migrator-token"
NONCE_VOLUME = ".migrator-nonce-{host_uuid}"
UUID_LENGTH = 36
NAMED_BYTES = 4096
"""Of a volume whose name says it all; some storage makes no smaller ones."""
_CHUNK = 64 * 1024

_VOLUME = """<volume>
  <name>{name}</name>
  <capacity unit='bytes'>{size}</capacity>
  <allocation unit='bytes'>{size}</allocation>
  <target><format type='raw'/><permissions><mode>0600</mode></permissions></target>
</volume>"""


def write_identity(
    conn: libvirt.virConnect, name: str, host_uuid: str, nonce: str, volumes: Iterable[str] = ()
) -> PoolIdentity:
    """What the other host is to find, put there where need be.

    :param volumes: those of the guest's that are in it.
    """
    pool = active_pool(conn, name)
    identity = _describe(pool, host_uuid)
    match identity.proof:
        case PoolProof.CONTENT:
            token = _write_content(conn, pool, host_uuid, nonce)
            return _with(identity, token=token, nonce=nonce)
        case PoolProof.NAMES:
            _write_name(pool, host_uuid, nonce)
            return _with(identity, nonce=nonce)
        case PoolProof.KEYS:
            return _with(identity, keys=_keys(pool, volumes))
        case PoolProof.NONE:
            return identity


def read_identity(
    conn: libvirt.virConnect, name: str, written_by: PoolIdentity
) -> PoolIdentity | None:
    """The same of this host's pool of that name; None when it holds nothing of the kind."""
    pool = active_pool(conn, name)
    identity = _describe(pool, written_by.writer)
    match identity.proof:
        case PoolProof.CONTENT:
            return _read_content(conn, pool, identity)
        case PoolProof.NAMES:
            wanted = _nonce_name(written_by.writer, written_by.nonce)
            ours = _is_uuid(written_by.writer) and _is_uuid(written_by.nonce)
            if not ours or seen_volume(pool, wanted) is None:
                return None
            return _with(identity, nonce=written_by.nonce)
        case PoolProof.KEYS:
            return _with(identity, keys=_keys(pool, written_by.keys))
        case PoolProof.NONE:
            return None


def _describe(pool: libvirt.virStoragePool, writer: str) -> PoolIdentity:
    description = describe(pool)
    kind, backend = kind_of(description)
    return PoolIdentity(
        name=pool.name(),
        kind=kind,
        path=description.findtext("target/path"),
        token="",
        nonce="",
        writer=writer,
        proof=backend.proof,
    )


def _with(
    identity: PoolIdentity, token: str = "", nonce: str = "", keys: dict[str, str] | None = None
) -> PoolIdentity:
    return msgspec.structs.replace(identity, token=token, nonce=nonce, keys=keys or {})


# ---------------------------------------------------------------- keys


def _keys(pool: libvirt.virStoragePool, volumes: Iterable[str]) -> dict[str, str]:
    """Without those that are not there."""
    found = {name: seen_volume(pool, name) for name in volumes}
    return {name: str(volume.key()) for name, volume in found.items() if volume is not None}


# ---------------------------------------------------------------- names


def _nonce_name(host_uuid: str, nonce: str) -> str:
    return f"{NONCE_VOLUME.format(host_uuid=host_uuid)}-{nonce}"


def _write_name(pool: libvirt.virStoragePool, host_uuid: str, nonce: str) -> None:
    """The volume with this process's nonce in its name, and none of those before it."""
    wanted = _nonce_name(host_uuid, nonce)
    if seen_volume(pool, wanted) is None:
        _created(pool, wanted, NAMED_BYTES)
    for name in pool.listVolumes():
        if name.startswith(_nonce_name(host_uuid, "")) and name != wanted:
            # Whoever is faster deletes it; one that stays is looked at by nobody.
            with contextlib.suppress(libvirt.libvirtError):
                pool.storageVolLookupByName(name).delete(0)


# ---------------------------------------------------------------- content


def _write_content(
    conn: libvirt.virConnect, pool: libvirt.virStoragePool, host_uuid: str, nonce: str
) -> str:
    """Make the pool's token unless it has one, and write this agent's nonce unless it is there."""
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
            "libvirt.error", f"the token written into pool {pool.name()!r} cannot be read back"
        )
    return token


def _read_content(
    conn: libvirt.virConnect, pool: libvirt.virStoragePool, identity: PoolIdentity
) -> PoolIdentity | None:
    if not _is_uuid(identity.writer):
        return None
    token = _read(conn, pool, TOKEN_VOLUME)
    nonce = _read(conn, pool, NONCE_VOLUME.format(host_uuid=identity.writer))
    if token is None or nonce is None:
        return None
    return _with(identity, token=token, nonce=nonce)


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
    volume = seen_volume(pool, name) or _created(pool, name, UUID_LENGTH)
    with stream_of(conn) as stream:
        volume.upload(stream, 0, UUID_LENGTH)
        stream.send(text.encode("ascii"))


def _created(pool: libvirt.virStoragePool, name: str, size: int) -> libvirt.virStorageVol:
    try:
        return pool.createXML(_VOLUME.format(name=name, size=size), 0)
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

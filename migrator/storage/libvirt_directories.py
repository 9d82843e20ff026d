"""A directory of the host as a storage pool for the time being, so that its files can be streamed.

Saved memory images and firmware variables lie outside every pool. A transient pool forgets them when it
is destroyed; destroying it touches no file.
"""

from __future__ import annotations

import hashlib
import posixpath
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import libvirt

from migrator.errors import Refused

PREFIX = "migrator-state-"

_POOL = "<pool type='dir'><name>{name}</name><target><path>{path}</path></target></pool>"


def open_directory(conn: libvirt.virConnect, path: str) -> str:
    """The name of an active pool over it. :raises Refused: ``pool.missing``"""
    directory = posixpath.normpath(path)
    found = _over(conn, directory)
    if found is not None:
        return str(found.name())
    name = PREFIX + hashlib.sha256(directory.encode()).hexdigest()[:12]
    try:
        conn.storagePoolCreateXML(_POOL.format(name=name, path=escape(directory)), 0)
    except libvirt.libvirtError as error:
        # Another worker was faster, or there is no such directory.
        if _over(conn, directory) is None:
            raise Refused(
                "pool.missing",
                f"directory {directory} of this host cannot be read through libvirt: "
                f"{error.get_error_message()}",
                path=directory,
            ) from error
    return name


def close_directory(conn: libvirt.virConnect, path: str) -> None:
    """Only what was opened for the time being."""
    found = _over(conn, posixpath.normpath(path))
    if found is not None and found.name().startswith(PREFIX):
        found.destroy()


def _over(conn: libvirt.virConnect, directory: str) -> libvirt.virStoragePool | None:
    kinds = (
        libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE | libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_DIR
    )
    for pool in conn.listAllStoragePools(kinds):
        found = ElementTree.fromstring(pool.XMLDesc(0)).findtext("target/path", "")
        if posixpath.normpath(found) == directory:
            return pool
    return None

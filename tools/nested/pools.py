"""Storage pools of the nested hosts, and volumes in them."""

import contextlib
import re
from dataclasses import dataclass
from xml.sax.saxutils import escape

import libvirt

from nested.errors import LabError, bad_input
from nested.host import connect
from nested.layout import POOLS, HostLayout

TARGETS = {"local": "/var/lib/libvirt/images", "shared": "/var/lib/libvirt/shared"}
FORMATS = ("raw", "qcow2")
MIB = 1024 * 1024


@dataclass(frozen=True)
class DiskRequest:
    """One ``--disk POOL:SIZE_MIB:FORMAT``."""

    pool: str
    size_mib: int
    format: str


def parse_disk(text: str) -> DiskRequest:
    """Read ``POOL:SIZE_MIB:FORMAT`` or refuse."""
    match = re.fullmatch(r"([^:]+):(\d+):([^:]+)", text)
    if not match:
        raise bad_input(
            "disk.syntax", f"{text!r} is not POOL:SIZE_MIB:FORMAT, for example shared:64:qcow2."
        )
    pool, size, form = match.group(1), int(match.group(2)), match.group(3)
    if pool not in POOLS:
        raise bad_input(
            "disk.pool", f"No pool {pool!r}; the lab's pools are {' and '.join(POOLS)}."
        )
    if form not in FORMATS:
        raise bad_input("disk.format", f"Format {form!r} is not one of {', '.join(FORMATS)}.")
    if size < 1:
        raise bad_input("disk.size", "A disk has at least 1 MiB.")
    return DiskRequest(pool, size, form)


def backing_directories(host: HostLayout) -> dict[str, str]:
    """Return pool name to its directory as the machine sees it."""
    return {"local": str(host.local_pool), "shared": str(host.lab.shared_pool)}


def ensure(host: HostLayout) -> None:
    """Define, start and autostart the pools that are missing."""
    connection = connect(host)
    with contextlib.closing(connection):
        known = {pool.name(): pool for pool in connection.listAllStoragePools()}
        for name, target in TARGETS.items():
            xml = (
                f"<pool type='dir'><name>{name}</name><target><path>{target}</path></target></pool>"
            )
            pool = known.get(name) or connection.storagePoolDefineXML(xml)
            if not pool.isActive():
                pool.create()
            if not pool.autostart():
                pool.setAutostart(1)


def create_volume(connection: libvirt.virConnect, name: str, disk: DiskRequest) -> None:
    """Create an empty, sparse volume in the format that was asked for."""
    compat = "<compat>1.1</compat>" if disk.format == "qcow2" else ""
    xml = (
        f"<volume><name>{escape(name)}</name><capacity unit='bytes'>{disk.size_mib * MIB}</capacity>"
        f"<allocation>0</allocation><target><format type='{disk.format}'/>{compat}</target></volume>"
    )
    try:
        connection.storagePoolLookupByName(disk.pool).createXML(xml)
    except libvirt.libvirtError as error:
        raise LabError("disk.create", f"Volume {name} in pool {disk.pool}: {error}") from error


def delete_volumes(connection: libvirt.virConnect, names: list[str]) -> None:
    """Delete these volumes from every pool they are found in."""
    for pool in connection.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        with contextlib.suppress(libvirt.libvirtError):
            pool.refresh()
        for name in names:
            with contextlib.suppress(libvirt.libvirtError):
                pool.storageVolLookupByName(name).delete()

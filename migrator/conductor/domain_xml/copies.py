"""Copied disks: at the destination they are the volumes that were made for them.

The target, the bus, the address and the alias stay: to the guest it is the same disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from migrator.conductor.domain_xml.document import insert, remove
from migrator.model import DiskMove
from migrator.storage.moves import relocated

KEEPS_SPARSE = {"discard": "unmap", "detect_zeroes": "unmap"}
"""What keeps holes of a copy from being written as zeroes. Given to the running guest only: what its
owner chose stays in the definition and is back at its next start."""
SOURCE_PATHS = ("file", "dev")


def rewrite(domain: Element, disks: Sequence[DiskMove], running: bool) -> Iterator[str]:
    """Point every disk that is another volume there to that one.

    :param running: the XML of the guest as it runs, not its definition.
    """
    moves = {move.target: move for move in relocated(disks)}
    # libvirt does not look pools up for a copy that is to hold the topmost volume alone.
    by_path = running and any(move.backing for move in moves.values())
    for disk in domain.iterfind("devices/disk"):
        target = disk.find("target")
        move = None if target is None else moves.get(target.get("dev", ""))
        source = disk.find("source")
        if move is None or source is None or not _is_copied(source, move):
            continue
        yield from _point_to_copy(disk, source, move, by_path and not move.read_only)
        _say_chain(disk, source, move)
        if running and not move.read_only:
            yield from _keep_sparse(disk, move)


def _is_copied(source: Element, move: DiskMove) -> bool:
    """A definition may name another volume for the next start than the one the guest runs from."""
    if source.get("pool") is not None:
        return (source.get("pool"), source.get("volume")) == (
            move.source_pool,
            move.source_volume,
        )
    path = next((source.get(name) for name in SOURCE_PATHS if source.get(name)), "") or ""
    return path.rpartition("/")[2] == move.source_volume


def _point_to_copy(disk: Element, source: Element, move: DiskMove, by_path: bool) -> Iterator[str]:
    before = (disk.get("type"), dict(source.attrib))
    for name in (*SOURCE_PATHS, "index", "pool", "volume"):
        source.attrib.pop(name, None)
    if by_path and move.path is not None:
        device = move.path.startswith("/dev/")
        disk.set("type", "block" if device else "file")
        source.set("dev" if device else "file", move.path)
    else:
        disk.set("type", "volume")
        source.set("pool", move.pool or "")
        source.set("volume", move.volume or "")
    if before != (disk.get("type"), dict(source.attrib)):
        yield f"disk {move.target} is volume {move.volume} in pool {move.pool}"


def _say_chain(disk: Element, source: Element, move: DiskMove) -> None:
    """What it stands on, and that there it ends: a header that says otherwise must not be believed."""
    for said in disk.findall("backingStore"):
        remove(disk, said)
    chain = Element("backingStore")
    for layer in reversed(move.backing):
        above = Element("backingStore", {"type": "volume"})
        above.append(Element("format", {"type": layer.format}))
        above.append(Element("source", {"pool": layer.pool or "", "volume": layer.volume or ""}))
        above.append(chain)
        chain = above
    insert(disk, list(disk).index(source) + 1, chain, depth=3)


def _keep_sparse(disk: Element, move: DiskMove) -> Iterator[str]:
    driver = disk.find("driver")
    if driver is None:
        driver = Element("driver", {"name": "qemu", "type": move.format})
        insert(disk, 0, driver, depth=3)
    for name, value in KEEPS_SPARSE.items():
        if driver.get(name) != value:
            driver.set(name, value)
            yield f"disk {move.target} has {name}={value} until the guest's next start"

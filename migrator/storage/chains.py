"""What can be wrong with what a qcow2 disk stands on. Pure."""

from __future__ import annotations

from migrator.messages import DiskFacts
from migrator.model import DiskFormat, DiskLayer

LONGEST_CHAIN = 30
"""Layers below the disk. QEMU opens every one of them; snapshots nobody commits grow chains."""


def fault_of_chain(disk: DiskFacts) -> str | None:
    """A sentence's second half; None for a chain that can be worked with."""
    if not disk.chain:
        return None
    if disk.format != DiskFormat.QCOW2:
        return f"is {disk.format} and yet said to stand on another volume"
    if len(disk.chain) > LONGEST_CHAIN:
        return (
            f"stands on {len(disk.chain)} layers, more than {LONGEST_CHAIN}; shorten the chain with"
            " `virsh blockcommit`"
        )
    names = [_name(layer) for layer in disk.chain]
    top = [disk.path or f"{disk.pool}/{disk.volume}", f"{disk.pool}/{disk.volume}"]
    if len(set(names)) < len(names) or set(top) & set(names):
        return "stands on itself: a layer of its chain comes twice"
    strange = sorted({layer.format for layer in disk.chain} - set(DiskFormat))
    if strange:
        return f"stands on a layer of format {strange[0]}, which is not known here"
    return None


def _name(layer: DiskLayer) -> str:
    return layer.path or f"{layer.pool}/{layer.volume}"

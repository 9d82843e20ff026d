"""How a disk that keeps its guest where it is says so, and what mends it. Pure."""

from __future__ import annotations

import posixpath
import re
import shlex

from migrator.messages import DiskFacts
from migrator.model import Refusal

FILTER = "disks"
REMOVABLE = frozenset({"cdrom", "floppy"})


def refusal(disk: DiskFacts, code: str, sentence: str) -> Refusal:
    kind = "disk" if disk.device == "disk" else f"{disk.device} drive"
    return Refusal(
        FILTER,
        code,
        f"{kind} {disk.target} {sentence}",
        {"target": disk.target, "pool": disk.pool, "volume": disk.volume, "path": disk.path},
    )


def not_shared(disk: DiskFacts, why: Refusal | None) -> str:
    reason = "nobody has judged it" if why is None else why.message
    return f"is in pool {disk.pool}, which is not proven to be the same on both hosts: {reason}"


def mend_medium(disk: DiskFacts) -> str:
    if disk.device in REMOVABLE:
        return f"eject it with `virsh change-media DOMAIN {disk.target} --eject --live`"
    return "move the volume to a shared pool, or detach the disk"


def mend(disk: DiskFacts) -> str:
    """What makes the disk a volume of a pool, ready to be pasted into a shell."""
    eject = (
        f"eject it with `virsh change-media DOMAIN {disk.target} --eject --live`, or "
        if disk.device in REMOVABLE
        else ""
    )
    if disk.source_type == "block" or disk.path is None or not disk.path.startswith("/"):
        return f"{eject}define the pool that holds it on both hosts with `virsh pool-define`"
    directory = posixpath.dirname(posixpath.normpath(disk.path))
    name = re.sub(r"[^A-Za-z0-9._-]", "-", posixpath.basename(directory)).lstrip("-.") or "root"
    return (
        f"{eject}define one over its directory on both hosts: `virsh pool-define-as {name} dir "
        f"--target {shlex.quote(directory)} && virsh pool-start {name} && virsh pool-autostart "
        f"{name}`"
    )

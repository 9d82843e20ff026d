"""What becomes of each disk of a guest that moves, judged on facts of both hosts.

Only disks that are the same storage on both hosts move yet, and drives without a medium. Pure: what
is shared was proven by the agents; a pool nobody proved shared is not shared.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from migrator.messages import DiskFacts
from migrator.model import Refusal

FILTER = "disks"
SAFE_CACHES = frozenset({"none", "directsync"})
"""Cache modes that keep nothing of a writable disk in the source host's page cache: the destination
reads what the guest wrote. libvirt holds the same two safe."""
VOLUME_SOURCES = frozenset({"file", "block", "volume"})
"""Sources a pool can hold."""
REMOVABLE = frozenset({"cdrom", "floppy"})


@dataclass(frozen=True)
class DiskPlan:
    """The verdict over all disks; pools and volumes are what the destination must have."""

    refusals: tuple[Refusal, ...]
    needs_unsafe: bool
    """libvirt holds every disk in a plain directory unsafe to move, shared or not. True when there
    are disks; meaningful only without refusals: every one is then proven shared, and every writable
    one is written through."""
    pools: tuple[str, ...]
    volumes: tuple[tuple[str, str], ...]


def pools_to_check(
    disks: Sequence[DiskFacts],
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """(pools, (pool, volume) pairs) a destination must have, each once, in the guest's order."""
    volumes = dict.fromkeys(
        (disk.pool, disk.volume)
        for disk in disks
        if disk.pool is not None and disk.volume is not None
    )
    return tuple(dict.fromkeys(pool for pool, _ in volumes)), tuple(volumes)


def plan_disks(
    disks: Sequence[DiskFacts],
    shared_pools: Collection[str],
    not_shared: Mapping[str, Refusal],
) -> DiskPlan:
    """Judge every disk.

    :param shared_pools: pools proven to be the same storage on both hosts.
    :param not_shared: why others are not, by pool.
    """
    pools, volumes = pools_to_check(disks)
    refusals = tuple(
        refusal for disk in disks for refusal in _refusals(disk, shared_pools, not_shared)
    )
    return DiskPlan(refusals, any(disk.source_type for disk in disks), pools, volumes)


def _refusals(
    disk: DiskFacts, shared_pools: Collection[str], not_shared: Mapping[str, Refusal]
) -> Iterator[Refusal]:
    if not disk.source_type:
        return
    if disk.source_type not in VOLUME_SOURCES:
        yield _refusal(
            disk,
            "disk.not_shared",
            f"has a source of type {disk.source_type}, which is not known to be the same storage on "
            "both hosts; use a volume in a shared pool",
        )
        return
    if disk.pool is None or disk.volume is None:
        yield _refusal(disk, "disk.not_in_pool", f"is in no storage pool; {_mend(disk)}")
        return
    if disk.pool not in shared_pools:
        yield _not_shared(disk, not_shared.get(disk.pool))
    if not disk.read_only and disk.cache not in SAFE_CACHES:
        yield _refusal(
            disk,
            "disk.cache_unsafe",
            f"is writable with cache mode {disk.cache or 'default (writeback)'}: what the source "
            "host still caches would be missing at the destination; set cache='none' on its "
            "<driver> with `virsh edit` and restart the guest",
        )


def _not_shared(disk: DiskFacts, why: Refusal | None) -> Refusal:
    reason = "nobody has judged it" if why is None else why.message
    if disk.device in REMOVABLE:
        mend = f"eject it with `virsh change-media DOMAIN {disk.target} --eject --live`"
    elif disk.read_only:
        mend = "move the volume to a shared pool, or detach the disk"
    else:
        mend = (
            "move the volume to a shared pool, or mount the same storage on both hosts under this one "
            "(copying disks is not available yet)"
        )
    return _refusal(
        disk,
        "disk.not_shared",
        f"is in pool {disk.pool}, which is not proven to be the same on both hosts: {reason}; {mend}",
    )


def _mend(disk: DiskFacts) -> str:
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


def _refusal(disk: DiskFacts, code: str, sentence: str) -> Refusal:
    kind = "disk" if disk.device == "disk" else f"{disk.device} drive"
    return Refusal(
        FILTER,
        code,
        f"{kind} {disk.target} {sentence}",
        {"target": disk.target, "pool": disk.pool, "volume": disk.volume, "path": disk.path},
    )

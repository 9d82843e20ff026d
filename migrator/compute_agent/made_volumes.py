"""Volumes a migration makes on this host, and how it knows its own again.

An agent keeps no state, and an answer can be lost: so a second volume beside each one says whose it
is. It is made first and removed last. A volume without it was here before and is never touched.
"""

from __future__ import annotations

import hashlib

from migrator.compute_agent.ports import Hypervisor
from migrator.errors import Refused
from migrator.messages import PlannedVolume
from migrator.model import DiskFormat

MARKER_BYTES = 512
"""Nothing is ever written into one: its name says it all. Some pools have no empty volumes."""


def make(hypervisor: Hypervisor, migration_id: str, wanted: PlannedVolume) -> None:
    """Make it, or find that this migration has.

    :raises Refused: ``volume.exists`` for one that is not this migration's.
    """
    marker = _marker(migration_id, wanted)
    hypervisor.refresh_pool(wanted.pool)
    ours = hypervisor.has_volume(wanted.pool, marker.volume)
    if not ours:
        if hypervisor.has_volume(wanted.pool, wanted.volume):
            raise _exists(wanted)
        hypervisor.create_volume(marker)
    try:
        made = hypervisor.create_volume(wanted)
    except Refused:
        hypervisor.delete_volume(marker.pool, marker.volume)
        raise
    if not made and not ours:
        # Somebody else was faster by a moment.
        hypervisor.delete_volume(marker.pool, marker.volume)
        raise _exists(wanted)


def is_made(hypervisor: Hypervisor, migration_id: str, wanted: PlannedVolume) -> bool:
    """Whether this migration has begun to make it. Refreshes its pool, sizes and all."""
    hypervisor.refresh_pool(wanted.pool)
    return hypervisor.has_volume(wanted.pool, _marker(migration_id, wanted).volume)


def unmake(hypervisor: Hypervisor, migration_id: str, wanted: PlannedVolume) -> list[str]:
    """Delete it if this migration made it; what was removed, in words."""
    marker = _marker(migration_id, wanted)
    try:
        hypervisor.refresh_pool(wanted.pool)
    except Refused:
        # Without the pool nothing was made in it.
        return []
    if not hypervisor.has_volume(wanted.pool, marker.volume):
        return []
    deleted = hypervisor.delete_volume(wanted.pool, wanted.volume)
    hypervisor.delete_volume(marker.pool, marker.volume)
    return [f"volume {wanted.volume} in pool {wanted.pool}"] if deleted else []


def keep(hypervisor: Hypervisor, migration_id: str, wanted: PlannedVolume) -> None:
    """It belongs to a guest that has arrived: nobody may undo it any more."""
    marker = _marker(migration_id, wanted)
    hypervisor.delete_volume(marker.pool, marker.volume)


def _marker(migration_id: str, wanted: PlannedVolume) -> PlannedVolume:
    digest = hashlib.sha256(wanted.volume.encode()).hexdigest()[:12]
    return PlannedVolume(
        pool=wanted.pool,
        volume=f".migrator-made-{migration_id}-{digest}",
        format=DiskFormat.RAW,
        virtual_size=MARKER_BYTES,
    )


def _exists(wanted: PlannedVolume) -> Refused:
    return Refused(
        "volume.exists",
        f"pool {wanted.pool!r} has a volume {wanted.volume!r} already, and it is none of this"
        " migration's: it is left alone. Delete or rename it if nobody needs it, or choose another pool"
        " with --map-disk",
        pool=wanted.pool,
        volume=wanted.volume,
    )

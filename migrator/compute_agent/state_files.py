"""Files of a guest besides its disks, on the host they have come to or are leaving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from migrator.compute_agent.made_volumes import keep, unmake
from migrator.compute_agent.ports import Hypervisor
from migrator.errors import Refused
from migrator.messages import PlannedVolume
from migrator.model import DiskFormat, StateFile


def planned(file: StateFile) -> PlannedVolume:
    """As the volume it is made as: bytes, whatever is in them."""
    return PlannedVolume(
        pool=file.pool, volume=file.name, format=DiskFormat.RAW, virtual_size=file.length
    )


def keep_files(hypervisor: Hypervisor, migration_id: str, files: Sequence[StateFile]) -> None:
    """They belong to a guest that has arrived."""
    for file in files:
        keep(hypervisor, migration_id, planned(_opened(hypervisor, file)))
    close(hypervisor, files)


def unmake_files(
    hypervisor: Hypervisor, migration_id: str, files: Sequence[StateFile]
) -> list[str]:
    """Delete those that this migration made; what was removed, in words."""
    removed = []
    for file in files:
        try:
            here = _opened(hypervisor, file)
        except Refused:
            # Without the directory nothing was made in it.
            continue
        removed += unmake(hypervisor, migration_id, planned(here))
    close(hypervisor, files)
    return removed


def close(hypervisor: Hypervisor, files: Sequence[StateFile]) -> None:
    """Their directories are no pools any more."""
    for directory in sorted({file.directory for file in files}):
        hypervisor.close_directory(directory)


def _opened(hypervisor: Hypervisor, file: StateFile) -> StateFile:
    """Again: a libvirt that was restarted has forgotten its transient pools."""
    return replace(file, pool=hypervisor.open_directory(file.directory))

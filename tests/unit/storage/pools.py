"""Pools of a destination, for tests of what becomes of disks there."""

from __future__ import annotations

from collections.abc import Sequence

from migrator.model import DiskFormat, PoolFacts

GIB = 1024**3
BOTH = (DiskFormat.RAW, DiskFormat.QCOW2)


def a_pool(
    name: str,
    available: int = 100 * GIB,
    formats: Sequence[DiskFormat] = BOTH,
    kind: str = "dir",
    path: str | None = "",
) -> PoolFacts:
    """A pool of 200 GiB; its files are in a directory of its name if nothing else is said."""
    where = f"/srv/{name}" if path == "" else path
    return PoolFacts(name, kind, "", where, None, 200 * GIB, 0, available, tuple(formats))

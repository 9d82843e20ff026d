"""Recorded disks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from migrator.model import DiskRecord


class DiskStore(Protocol):
    """Recorded disks; a migration's switch moves them, everything else records them anew."""

    def of_instance(self, instance_id: str) -> Sequence[DiskRecord]: ...

    def record(self, instance_id: str, records: Sequence[DiskRecord]) -> None:
        """Replace what is recorded of the instance's disks."""
        ...

    def held_bytes(self, host: str, besides: str | None) -> Mapping[str, int]:
        """pool -> bytes that migrations other than ``besides`` keep free there."""
        ...

    def held_everywhere(self, besides: str | None) -> Mapping[str, Mapping[str, int]]:
        """The same of every host."""
        ...

"""Volumes that are made for a migration."""

from __future__ import annotations

from migrator.messages.base import Message
from migrator.model import DiskFormat, DiskLayer


class PlannedVolume(Message, frozen=True):
    """A volume a migration makes at its destination; what is needed to make it, and to know it again."""

    pool: str
    volume: str
    format: DiskFormat
    virtual_size: int
    """Bytes, exactly."""
    backing: DiskLayer | None = None
    """A volume of the same host it stands on; None for one that stands alone."""

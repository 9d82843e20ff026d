"""Volumes that copied disks stand on, brought to a host before anything stands on them there."""

from __future__ import annotations

from migrator.messages.agent_commands import Command
from migrator.messages.base import Message
from migrator.messages.storage import PlannedVolume


class ReceiveBases(Command, frozen=True):
    """Make those that are not here, empty."""

    volumes: list[PlannedVolume]


class BasesReceived(Message, frozen=True):
    """Which were made, by this attempt, and are to be filled: [pool, volume]. The others were here."""

    made: list[list[str]]


class KeepBases(Command, frozen=True):
    """They are whole: they stay, whatever becomes of the migration that brought them."""

    volumes: list[PlannedVolume]


class BasesKept(Message, frozen=True):
    """Done."""

"""Taking devices of the host from a guest for its move, and giving them back."""

from __future__ import annotations

from migrator.messages.agent_commands import Command
from migrator.messages.base import (
    Message,
)
from migrator.model import DomainSummary


class DetachDevices(Command, frozen=True):
    """Have the running guest let go of devices of its host; waits until it has."""

    addresses: list[str]
    """PCI addresses on this host."""


class DevicesDetached(Message, frozen=True):
    """What is to be moved now."""

    live_xml: str


class AttachDevices(Command, frozen=True):
    """Give the running guest those of these devices that it does not have."""

    devices: list[str]
    """libvirt's XML of each, with its address on this host."""


class DevicesAttached(Message, frozen=True):
    """PCI addresses of those that were missing."""

    attached: list[str]
    seen: DomainSummary | None = None
    """What inventory says of the guest by now; None when it is not there."""
    word: int = 0
    """The number of that look, among all the agent says about its guests: see :class:`HostReport`."""

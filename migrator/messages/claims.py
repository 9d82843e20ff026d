"""What is claimed on the hosts, and whether that is what their domains have."""

from __future__ import annotations

from datetime import datetime

import msgspec

from migrator.messages.base import (
    Message,
)
from migrator.model import DomainSummary


class HostDomains(Message, frozen=True):
    """Every domain of a host, read from its libvirt now."""

    domains: list[DomainSummary]
    word: int = 0
    """The number of that look, among all the agent says about its guests: see :class:`HostReport`."""


class PagesView(Message, frozen=True):
    """Huge pages of one size in one cell of the host."""

    cell: int
    size_kib: int
    count: int


class ClaimView(Message, frozen=True):
    """What is reserved on one host for one instance."""

    host: str
    instance: str
    purpose: str
    vcpus: int
    memory_mib: int
    migration: str | None
    created_at: datetime
    pins: dict[str, int] = msgspec.field(default_factory=dict)
    """vCPU -> the CPU that is its own."""
    emulator_cpu: int | None = None
    blocked_cpus: list[int] = msgspec.field(default_factory=list)
    """Siblings that are kept free for it."""
    pages: list[PagesView] = msgspec.field(default_factory=list)
    devices: list[str] = msgspec.field(default_factory=list)
    """PCI addresses."""
    pool_bytes: dict[str, int] = msgspec.field(default_factory=dict)
    """Pool -> bytes that are kept free for volumes to be made."""


class ClaimList(Message, frozen=True):
    claims: list[ClaimView]


class ClaimFinding(Message, frozen=True):
    """One difference between claims and domains."""

    host: str
    instance: str | None
    finding: str
    """``leaked``, ``missing``, ``mismatched``, ``foreign``, or ``unchecked`` where a host did not
    answer."""
    message: str


class ClaimAudit(Message, frozen=True):
    """Every difference; none when all hosts answered and all is as claimed."""

    findings: list[ClaimFinding]

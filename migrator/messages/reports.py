"""What agents tell the conductor, and conductors each other."""

from __future__ import annotations

import msgspec

from migrator.messages.base import (
    Message,
)
from migrator.model import (
    DomainSummary,
    DomainView,
    HostAddresses,
    HostFacts,
    JobSample,
    Statistics,
)


class HostReport(Message, frozen=True):
    """An agent's heartbeat. ``facts`` and ``domains`` travel when they changed or were asked for."""

    host: str
    incarnation: str
    agent_version: str
    rpc_version: str
    generation: int
    """With ``domains`` the number of the look that read them; without, the number of the last word that
    was acknowledged. Inventories, events and answers are counted together, each before it is read."""
    addresses: HostAddresses
    libvirt_error: str | None = None
    """Why the host's libvirt cannot be reached now."""
    facts: HostFacts | None = None
    domains: list[DomainSummary] | None = None


class HostReported(Message, frozen=True):
    """Whether the conductor wants the whole inventory with the next report."""

    resend: bool = False
    generation: int = 0
    """The number of the newest word that is stored: the agent goes on above it."""


class DomainEvent(Message, frozen=True):
    """A lifecycle event of one domain, with what the domain looks like right after it."""

    host: str
    incarnation: str
    instance_id: str
    event: str
    """libvirt's event name: started, suspended, resumed, stopped, defined, undefined..."""
    detail: str
    view: DomainView
    summary: DomainSummary | None = None
    """None once the domain is gone."""
    generation: int = 0
    """See :class:`HostReport`."""
    held_ms: int = 0
    """For how long the agent has had the event from libvirt when it sends this."""


class TransferReading(Message, frozen=True):
    """How far a running transfer is."""

    migration_id: str
    attempt: int
    sequence: int
    sample: JobSample


class TransferProgress(Message, frozen=True):
    """A reading of a running transfer; losing one loses nothing."""

    host: str
    migration_id: str
    attempt: int
    sequence: int
    sample: JobSample
    every_s: float = 1.0
    """Seconds until the next one, as long as it runs."""
    others: list[TransferReading] = msgspec.field(default_factory=list)
    """Of transfers that were read at the same time."""


class TransferEnded(Message, frozen=True):
    """libvirt's migrate call has returned on the source."""

    host: str
    migration_id: str
    attempt: int
    ok: bool
    error: str | None = None
    statistics: Statistics | None = None
    restart_with: list[str] = msgspec.field(default_factory=list)
    """It was ended to be started again with these flags."""


class Relay(Message, frozen=True):
    """For whichever conductor leads the migration: an event of its guest, its transfer's end, or, with
    neither, "look again"."""

    migration_id: str
    event: DomainEvent | None = None
    ended: TransferEnded | None = None
    rescue: bool = False
    """An operator wants a broken post-copy tried again now."""

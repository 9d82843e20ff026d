"""Taking a guest off, streaming its volumes, and bringing it up elsewhere."""

from __future__ import annotations

import enum

import msgspec

from migrator.messages.agent_commands import Command
from migrator.messages.base import Message
from migrator.model import DomainView, RangeDigest, StateFile, VolumeDigest, VolumeRef


class StopHow(enum.StrEnum):
    """How a guest is taken off."""

    ASK = "ask"
    """Its own system is asked to shut down."""
    KILL = "kill"


class StopGuest(Command, frozen=True):
    """Mark the domain as this attempt's, keep its host from starting it, and have the guest end; one
    that is off stays so."""

    autostart: bool
    how: StopHow = StopHow.ASK


class GuestStopped(Message, frozen=True):
    """How it is now; after asking, it may take a while to be off."""

    view: DomainView


class StartGuest(Command, frozen=True):
    """Start the guest here unless it runs; only a domain that is this attempt's."""


class GuestStarted(Message, frozen=True):
    view: DomainView


class RestoreSource(Command, frozen=True):
    """Leave the domain here as it was before the attempt: started if it ran, unmarked, autostart
    back."""

    autostart: bool
    running: bool
    obeyed: bool = False
    """It has been restored and ran: started again if it has obeyed, since, the shutdown that was called
    off."""


class SourceRestored(Message, frozen=True):
    view: DomainView


class DefineGuest(Command, frozen=True):
    """Define the guest here, off."""

    xml: str
    saved_xml: str | None = None
    """For its saved memory image, where that has come with it."""


class ReceiveState(Command, frozen=True):
    """Make empty files for what belongs to the guest besides its disks."""

    files: list[StateFile]


class StateReceived(Message, frozen=True):
    """The same files, each with the pool of this host that it is in for the time being."""

    files: list[StateFile]


class GatherState(Command, frozen=True):
    """Look for those of the files that are here."""

    files: list[StateFile]


class StateGathered(Message, frozen=True):
    """Those that are, each with its length and its pool here."""

    files: list[StateFile]


class GuestDefined(Message, frozen=True):
    view: DomainView


class StreamRole(enum.StrEnum):
    """What an agent does with a guest's volumes."""

    COPY = "copy"
    """Stream them to another host's libvirt."""
    PROOF = "proof"
    """Read them here and say what they hold."""


class StreamedVolume(Message, frozen=True):
    """A volume, and where its copy goes; for a proof both are the same."""

    source: VolumeRef
    destination: VolumeRef
    proven: list[RangeDigest] | None = None
    """What the destination was seen to hold, when a copy is taken up again."""


class StreamVolumes(Command, frozen=True):
    """Begin to stream in a worker of its own; adopted when it runs, or has ended, already."""

    role: StreamRole
    volumes: list[StreamedVolume]
    peer_uri: str | None = None
    bandwidth_mib_s: int | None = None
    bases: bool = False
    """They are what disks stand on: nobody writes to them, so the guest may run."""


class StreamsTaken(Message, frozen=True):
    adopted: bool


class StreamsRef(Message, frozen=True):
    """Asks how an attempt's streams are."""

    instance_id: str
    migration_id: str
    attempt: int
    role: StreamRole


class StreamsView(Message, frozen=True):
    """``known`` is False in an agent process that never heard of them: it was started since."""

    known: bool
    ended: bool = False
    error_class: str | None = None
    """``refused``, ``transient`` (take it up again) or ``broken``; None while well."""
    error_code: str | None = None
    error: str | None = None
    volumes: list[VolumeDigest] = msgspec.field(default_factory=list)
    """What they hold, once ended well."""


class LimitStreams(Command, frozen=True):
    """Hold the attempt's copy to another bandwidth while it runs."""

    bandwidth_mib_s: int | None = None
    """None for as fast as it goes."""


class StreamsLimited(Message, frozen=True):
    known: bool
    """It runs here; an agent that was started since knows of none."""


class StopStreams(Command, frozen=True):
    """End the attempt's streams of both roles, whatever they have done."""


class StreamsStopped(Message, frozen=True):
    stopped: bool
    """Nothing streams any more."""

"""What an agent can be asked, and the conductor's client for it. Agents have none for each other."""

from __future__ import annotations

from typing import Protocol, TypeVar

import msgspec

from migrator.messages import (
    AGENT_METHODS,
    AGENT_TOPIC,
    RPC_VERSION,
    Abort,
    Aborted,
    AttachDevices,
    BasesKept,
    BasesReceived,
    CheckDestination,
    CheckSource,
    DefineGuest,
    DeleteVolumes,
    DestinationChecked,
    DestinationFinished,
    DestinationPrepared,
    DestinationUndone,
    DetachDevices,
    DevicesAttached,
    DevicesDetached,
    DirtyRateMeasured,
    Empty,
    FenceSource,
    FinishDestination,
    GatherState,
    GuestDefined,
    GuestStarted,
    GuestStopped,
    HostDomains,
    Inspected,
    InstanceRef,
    KeepBases,
    LimitStreams,
    PostcopyResumed,
    PrepareDestination,
    ReceiveBases,
    ReceiveState,
    ReleaseSource,
    RestoreSource,
    ResumePostcopy,
    SourceChecked,
    SourceFacts,
    SourceFenced,
    SourceReleased,
    SourceRestored,
    StartGuest,
    StartTransfer,
    StateGathered,
    StateReceived,
    Steer,
    Steered,
    StopGuest,
    StopStreams,
    StreamsLimited,
    StreamsRef,
    StreamsStopped,
    StreamsTaken,
    StreamsView,
    StreamVolumes,
    TransferStarted,
    UndoDestination,
    VolumesDeleted,
)
from migrator.rpc import Bus

R = TypeVar("R", bound=msgspec.Struct)

READ_TIMEOUT_S = 20.0
"""Reads answer in milliseconds; this bounds a libvirt that hangs (its own deadline is shorter)."""
COMMAND_GRACE_S = 5.0
"""On top of a command's own deadline, for the way there and back."""
MONITOR_S = 5.0
"""A live agent says "still working" at least twice in this time. Silence means that it died with the
request, or stands still: who asks again is answered by its successor."""


class AgentApi(Protocol):
    """One method per op, one request, one reply; ``host`` says which agent."""

    def describe_source(self, host: str, request: InstanceRef) -> SourceFacts: ...
    def check_destination(self, host: str, request: CheckDestination) -> DestinationChecked: ...
    def check_source(self, host: str, request: CheckSource) -> SourceChecked: ...
    def prepare_destination(
        self, host: str, request: PrepareDestination
    ) -> DestinationPrepared: ...
    def detach_devices(self, host: str, request: DetachDevices) -> DevicesDetached: ...
    def attach_devices(self, host: str, request: AttachDevices) -> DevicesAttached: ...
    def start_transfer(self, host: str, request: StartTransfer) -> TransferStarted: ...
    def steer(self, host: str, request: Steer) -> Steered: ...
    def resume_postcopy(self, host: str, request: ResumePostcopy) -> PostcopyResumed: ...
    def abort(self, host: str, request: Abort) -> Aborted: ...
    def inspect(self, host: str, request: InstanceRef) -> Inspected: ...
    def measure_dirty_rate(self, host: str, request: InstanceRef) -> DirtyRateMeasured: ...
    def list_domains(self, host: str, request: Empty) -> HostDomains: ...
    def fence_source(self, host: str, request: FenceSource) -> SourceFenced: ...
    def finish_destination(self, host: str, request: FinishDestination) -> DestinationFinished: ...
    def release_source(self, host: str, request: ReleaseSource) -> SourceReleased: ...
    def undo_destination(self, host: str, request: UndoDestination) -> DestinationUndone: ...
    def delete_volumes(self, host: str, request: DeleteVolumes) -> VolumesDeleted: ...
    def stop_guest(self, host: str, request: StopGuest) -> GuestStopped: ...
    def gather_state(self, host: str, request: GatherState) -> StateGathered: ...
    def receive_state(self, host: str, request: ReceiveState) -> StateReceived: ...

    def receive_bases(self, host: str, request: ReceiveBases) -> BasesReceived: ...

    def keep_bases(self, host: str, request: KeepBases) -> BasesKept: ...
    def start_guest(self, host: str, request: StartGuest) -> GuestStarted: ...
    def restore_source(self, host: str, request: RestoreSource) -> SourceRestored: ...
    def define_guest(self, host: str, request: DefineGuest) -> GuestDefined: ...
    def stream_volumes(self, host: str, request: StreamVolumes) -> StreamsTaken: ...
    def limit_streams(self, host: str, request: LimitStreams) -> StreamsLimited: ...
    def stop_streams(self, host: str, request: StopStreams) -> StreamsStopped: ...
    def streams(self, host: str, request: StreamsRef) -> StreamsView: ...


class AgentClient:
    """:class:`AgentApi` over RPC. Commands are calls, never casts; after a timeout ask, never assume."""

    def __init__(self, bus: Bus) -> None:
        self._client = bus.client(AGENT_TOPIC, AGENT_METHODS, RPC_VERSION)

    def _read(self, host: str, name: str, request: msgspec.Struct, reply: type[R]) -> R:
        answer = self._client.call(
            name, request, server=host, timeout=READ_TIMEOUT_S, monitor_timeout=MONITOR_S
        )
        assert isinstance(answer, reply)
        return answer

    def _command(
        self, host: str, name: str, request: msgspec.Struct, deadline_s: float, reply: type[R]
    ) -> R:
        answer = self._client.call(
            name,
            request,
            server=host,
            timeout=deadline_s + COMMAND_GRACE_S,
            monitor_timeout=MONITOR_S,
        )
        assert isinstance(answer, reply)
        return answer

    def describe_source(self, host: str, request: InstanceRef) -> SourceFacts:
        return self._read(host, "describe_source", request, SourceFacts)

    def check_destination(self, host: str, request: CheckDestination) -> DestinationChecked:
        return self._read(host, "check_destination", request, DestinationChecked)

    def check_source(self, host: str, request: CheckSource) -> SourceChecked:
        return self._read(host, "check_source", request, SourceChecked)

    def prepare_destination(self, host: str, request: PrepareDestination) -> DestinationPrepared:
        return self._command(
            host, "prepare_destination", request, request.deadline_s, DestinationPrepared
        )

    def detach_devices(self, host: str, request: DetachDevices) -> DevicesDetached:
        return self._command(host, "detach_devices", request, request.deadline_s, DevicesDetached)

    def attach_devices(self, host: str, request: AttachDevices) -> DevicesAttached:
        return self._command(host, "attach_devices", request, request.deadline_s, DevicesAttached)

    def start_transfer(self, host: str, request: StartTransfer) -> TransferStarted:
        return self._command(host, "start_transfer", request, request.deadline_s, TransferStarted)

    def steer(self, host: str, request: Steer) -> Steered:
        return self._command(host, "steer", request, request.deadline_s, Steered)

    def resume_postcopy(self, host: str, request: ResumePostcopy) -> PostcopyResumed:
        return self._command(host, "resume_postcopy", request, request.deadline_s, PostcopyResumed)

    def abort(self, host: str, request: Abort) -> Aborted:
        return self._command(host, "abort", request, request.deadline_s, Aborted)

    def inspect(self, host: str, request: InstanceRef) -> Inspected:
        return self._read(host, "inspect", request, Inspected)

    def measure_dirty_rate(self, host: str, request: InstanceRef) -> DirtyRateMeasured:
        """Takes a second or two."""
        return self._read(host, "measure_dirty_rate", request, DirtyRateMeasured)

    def list_domains(self, host: str, request: Empty) -> HostDomains:
        return self._read(host, "list_domains", request, HostDomains)

    def fence_source(self, host: str, request: FenceSource) -> SourceFenced:
        return self._command(host, "fence_source", request, request.deadline_s, SourceFenced)

    def finish_destination(self, host: str, request: FinishDestination) -> DestinationFinished:
        return self._command(
            host, "finish_destination", request, request.deadline_s, DestinationFinished
        )

    def release_source(self, host: str, request: ReleaseSource) -> SourceReleased:
        return self._command(host, "release_source", request, request.deadline_s, SourceReleased)

    def undo_destination(self, host: str, request: UndoDestination) -> DestinationUndone:
        return self._command(
            host, "undo_destination", request, request.deadline_s, DestinationUndone
        )

    def delete_volumes(self, host: str, request: DeleteVolumes) -> VolumesDeleted:
        return self._command(host, "delete_volumes", request, request.deadline_s, VolumesDeleted)

    def stop_guest(self, host: str, request: StopGuest) -> GuestStopped:
        return self._command(host, "stop_guest", request, request.deadline_s, GuestStopped)

    def start_guest(self, host: str, request: StartGuest) -> GuestStarted:
        return self._command(host, "start_guest", request, request.deadline_s, GuestStarted)

    def restore_source(self, host: str, request: RestoreSource) -> SourceRestored:
        return self._command(host, "restore_source", request, request.deadline_s, SourceRestored)

    def define_guest(self, host: str, request: DefineGuest) -> GuestDefined:
        return self._command(host, "define_guest", request, request.deadline_s, GuestDefined)

    def stream_volumes(self, host: str, request: StreamVolumes) -> StreamsTaken:
        return self._command(host, "stream_volumes", request, request.deadline_s, StreamsTaken)

    def limit_streams(self, host: str, request: LimitStreams) -> StreamsLimited:
        return self._command(host, "limit_streams", request, request.deadline_s, StreamsLimited)

    def stop_streams(self, host: str, request: StopStreams) -> StreamsStopped:
        return self._command(host, "stop_streams", request, request.deadline_s, StreamsStopped)

    def streams(self, host: str, request: StreamsRef) -> StreamsView:
        return self._read(host, "streams", request, StreamsView)

    def gather_state(self, host: str, request: GatherState) -> StateGathered:
        return self._command(host, "gather_state", request, request.deadline_s, StateGathered)

    def receive_state(self, host: str, request: ReceiveState) -> StateReceived:
        return self._command(host, "receive_state", request, request.deadline_s, StateReceived)

    def receive_bases(self, host: str, request: ReceiveBases) -> BasesReceived:
        return self._command(host, "receive_bases", request, request.deadline_s, BasesReceived)

    def keep_bases(self, host: str, request: KeepBases) -> BasesKept:
        return self._command(host, "keep_bases", request, request.deadline_s, BasesKept)

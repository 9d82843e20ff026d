"""The server side of :class:`migrator.compute_agent.rpcapi.AgentApi`: one method per op, no logic."""

from __future__ import annotations

from functools import partial

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.gate import CommandGate
from migrator.compute_agent.ops import (
    abort,
    attach_devices,
    check_destination,
    check_source,
    define_guest,
    delete_volumes,
    describe_source,
    detach_devices,
    fence_source,
    finish_destination,
    gather_state,
    inspect,
    keep_bases,
    limit_streams,
    list_domains,
    measure_dirty_rate,
    prepare_destination,
    receive_bases,
    receive_state,
    release_source,
    restore_source,
    resume_postcopy,
    start_guest,
    start_transfer,
    steer,
    stop_guest,
    stop_streams,
    stream_volumes,
    undo_destination,
)
from migrator.messages import (
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


class AgentEndpoint:
    """Reads go straight to their op; commands pass the gate."""

    def __init__(self, host: AgentContext, gate: CommandGate) -> None:
        self._host = host
        self._gate = gate

    def describe_source(self, request: InstanceRef) -> SourceFacts:
        return describe_source.run(self._host, request)

    def check_destination(self, request: CheckDestination) -> DestinationChecked:
        return check_destination.run(self._host, request)

    def check_source(self, request: CheckSource) -> SourceChecked:
        return check_source.run(self._host, request)

    def inspect(self, request: InstanceRef) -> Inspected:
        return inspect.run(self._host, request)

    def measure_dirty_rate(self, request: InstanceRef) -> DirtyRateMeasured:
        return measure_dirty_rate.run(self._host, request)

    def list_domains(self, request: Empty) -> HostDomains:
        return list_domains.run(self._host, request)

    def streams(self, request: StreamsRef) -> StreamsView:
        return self._host.streams.view(request)

    def prepare_destination(self, request: PrepareDestination) -> DestinationPrepared:
        work = partial(prepare_destination.run, self._host)
        return self._gate.run("prepare_destination", request, work)

    def detach_devices(self, request: DetachDevices) -> DevicesDetached:
        return self._gate.run("detach_devices", request, partial(detach_devices.run, self._host))

    def attach_devices(self, request: AttachDevices) -> DevicesAttached:
        return self._gate.run("attach_devices", request, partial(attach_devices.run, self._host))

    def start_transfer(self, request: StartTransfer) -> TransferStarted:
        return self._gate.run("start_transfer", request, partial(start_transfer.run, self._host))

    def steer(self, request: Steer) -> Steered:
        return self._gate.run("steer", request, partial(steer.run, self._host))

    def resume_postcopy(self, request: ResumePostcopy) -> PostcopyResumed:
        return self._gate.run("resume_postcopy", request, partial(resume_postcopy.run, self._host))

    def abort(self, request: Abort) -> Aborted:
        return self._gate.run("abort", request, partial(abort.run, self._host))

    def fence_source(self, request: FenceSource) -> SourceFenced:
        return self._gate.run("fence_source", request, partial(fence_source.run, self._host))

    def finish_destination(self, request: FinishDestination) -> DestinationFinished:
        work = partial(finish_destination.run, self._host)
        return self._gate.run("finish_destination", request, work)

    def release_source(self, request: ReleaseSource) -> SourceReleased:
        return self._gate.run("release_source", request, partial(release_source.run, self._host))

    def undo_destination(self, request: UndoDestination) -> DestinationUndone:
        return self._gate.run(
            "undo_destination", request, partial(undo_destination.run, self._host)
        )

    def delete_volumes(self, request: DeleteVolumes) -> VolumesDeleted:
        return self._gate.run("delete_volumes", request, partial(delete_volumes.run, self._host))

    def stop_guest(self, request: StopGuest) -> GuestStopped:
        return self._gate.run("stop_guest", request, partial(stop_guest.run, self._host))

    def start_guest(self, request: StartGuest) -> GuestStarted:
        return self._gate.run("start_guest", request, partial(start_guest.run, self._host))

    def restore_source(self, request: RestoreSource) -> SourceRestored:
        return self._gate.run("restore_source", request, partial(restore_source.run, self._host))

    def define_guest(self, request: DefineGuest) -> GuestDefined:
        return self._gate.run("define_guest", request, partial(define_guest.run, self._host))

    def stream_volumes(self, request: StreamVolumes) -> StreamsTaken:
        return self._gate.run("stream_volumes", request, partial(stream_volumes.run, self._host))

    def limit_streams(self, request: LimitStreams) -> StreamsLimited:
        return self._gate.run("limit_streams", request, partial(limit_streams.run, self._host))

    def stop_streams(self, request: StopStreams) -> StreamsStopped:
        return self._gate.run("stop_streams", request, partial(stop_streams.run, self._host))

    def gather_state(self, request: GatherState) -> StateGathered:
        return self._gate.run("gather_state", request, partial(gather_state.run, self._host))

    def receive_state(self, request: ReceiveState) -> StateReceived:
        return self._gate.run("receive_state", request, partial(receive_state.run, self._host))

    def receive_bases(self, request: ReceiveBases) -> BasesReceived:
        return self._gate.run("receive_bases", request, partial(receive_bases.run, self._host))

    def keep_bases(self, request: KeepBases) -> BasesKept:
        return self._gate.run("keep_bases", request, partial(keep_bases.run, self._host))

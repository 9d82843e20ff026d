"""Have the guest's volumes streamed to the destination, and prove that what arrived is what left."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from migrator.conductor.run import Run, send
from migrator.conductor.steps.base import Result, Results, Step
from migrator.conductor.steps.bring_state import HERE, THERE, state_files
from migrator.conductor.steps.place import Placed
from migrator.conductor.steps.stop_guest import look
from migrator.conductor.transfer_plan import bandwidth_of
from migrator.errors import Broken, MigratorError, Refused, Transient, error_from_dict
from migrator.messages import (
    DomainEvent,
    LimitStreams,
    StopStreams,
    StreamedVolume,
    StreamRole,
    StreamsRef,
    StreamsStopped,
    StreamsView,
    StreamVolumes,
    TransferEnded,
)
from migrator.model import DiskMove, Method, VolumeDigest, VolumeRef
from migrator.states import PAST_NO_RETURN, MigrationState
from migrator.storage.moves import copied
from migrator.storage.ranges import difference

DEADLINE_S = 60.0
"""Starting a stream looks at every volume first."""
LIMIT_DEADLINE_S = 8.0
QUIET_S = 5.0
"""Between two looks at whether it is still reported on: the agent is asked when it is not."""
MOST_TRIES = 7
FIRST_PAUSE_S = 1.0
"""Between two tries, doubled each time: given up after a minute of a side that is away, because the
guest is off meanwhile."""
MIB = 1024 * 1024


Pair = tuple[VolumeRef, VolumeRef]
"""A volume at the source, and the one it is copied into."""


class CopyVolumes(Step):
    """Its undo ends the streams; the volumes they wrote go with the destination's preparation."""

    name = "copy_volumes"
    needs = ("place", "bring_state", "stop_guest")

    def execute(self, run: Run, results: Results) -> Result:
        placed = msgspec.convert(results["place"], Placed)
        moves, volumes = copied(placed.disks), _volumes(placed, results)
        first = run.migration.state is MigrationState.STOPPING
        if first:
            run.move(MigrationState.COPYING, _why(run, moves), method=Method.COLD)
        if not volumes:
            return {"bytes": 0}
        held = Copying(run, volumes, placed.destination.peer_uri).until_proven(first)
        return {"bytes": sum(volume.size for volume in held)}

    def revert(self, run: Run, results: Results) -> None:
        placed = msgspec.convert(results["place"], Placed)
        if run.migration.state in PAST_NO_RETURN or not _volumes(placed, results):
            return
        run.until_answered(
            f"{run.source} to end its streams", lambda: stop_streams(run, run.source, "undo")
        )
        try:
            stop_streams(run, run.destination, "undo")
        except Transient as away:
            # They only read there, and end with their agent.
            run.note("step", f"{run.destination}: {away.message}", code=away.code)


class Copying:
    """One copy of all volumes, tried until it is proven or given up."""

    def __init__(
        self, run: Run, volumes: Sequence[Pair], peer_uri: str, base: str | None = None
    ) -> None:
        """:param base: name of the one volume it is about, which disks stand on: the guest may run."""
        self._run = run
        self._peer_uri = peer_uri
        self._volumes = volumes
        self._bases = base is not None
        self._name = CopyVolumes.name if base is None else f"bring-{base}"
        self._asked = 0
        self._limited: int | None = None
        """MiB/s the streams were last told."""

    def until_proven(self, first: bool) -> Sequence[VolumeDigest]:
        """What the sources hold, once the destination was seen to hold the same.

        :param first: nothing was sent before: the destination's volumes are as they were made.
        :raises Broken: ``copy.failed``, ``copy.mismatch``.
        """
        pause, error = FIRST_PAUSE_S, None
        for number in range(MOST_TRIES):
            try:
                held = self._copy(first and number == 0)
                error = _mismatch(held, self.prove())
                if error is None:
                    return held
                # Both ends' answers are of no use any more.
                stop_streams(self._run, self._run.source, self._next("again"))
            except Transient as away:
                error = away
            self._run.note("step", f"{error}; taken up again in {pause:.0f} s", code=error.code)
            self._run.context.clock.sleep(pause)
            pause *= 2
            self._obey()
        assert error is not None
        if error.code == "copy.mismatch":
            raise error
        raise Broken("copy.failed", f"the volumes could not be copied: {error.message}")

    def _copy(self, first: bool) -> Sequence[VolumeDigest]:
        run = self._run
        known = self._ask(run.source, StreamRole.COPY)
        if not known.known or known.error is not None:
            proven = None if first else self.prove()
            self._begin(run.source, StreamRole.COPY, proven)
        elif not known.ended:
            # Whoever led before may have died before it told them.
            self._limit()
        return self._await(run.source, StreamRole.COPY)

    def prove(self, at_source: bool = False) -> Sequence[VolumeDigest]:
        """What the destination holds now, or the source; an earlier answer does not count."""
        host = self._run.source if at_source else self._run.destination
        stop_streams(self._run, host, self._next("anew"))
        self._begin(host, StreamRole.PROOF, None)
        return self._await(host, StreamRole.PROOF)

    def _begin(self, host: str, role: StreamRole, proven: Sequence[VolumeDigest] | None) -> None:
        run = self._run
        volumes = []
        for number, (source, destination) in enumerate(self._volumes):
            known = None if proven is None else list(proven[number].ranges)
            proof_there = role is StreamRole.PROOF and host == self._run.destination
            begin = destination if proof_there else source
            volumes.append(StreamedVolume(source=begin, destination=destination, proven=known))
        request = StreamVolumes(
            **run.head(host, self._next(role), DEADLINE_S),
            role=role,
            volumes=volumes,
            peer_uri=self._peer_uri,
            bandwidth_mib_s=bandwidth_of(run.migration),
            bases=self._bases,
        )
        send(host, run.context.agents.stream_volumes, request)
        if role is StreamRole.COPY:
            self._limited = request.bandwidth_mib_s

    def _await(self, host: str, role: StreamRole) -> Sequence[VolumeDigest]:
        """Events come; the agent is asked when they stop.

        :raises Transient: ``copy.interrupted`` when its process is another one by now; whatever ended
            the streams and may not end them again.
        """
        while True:
            self._obey()
            self._check_off()
            view = self._ask(host, role)
            if not view.known:
                raise Transient(
                    "copy.interrupted", f"the agent of {host} was restarted while it streamed"
                )
            if view.error is not None:
                raise _error(view)
            if view.ended:
                return view.volumes
            while not self._silent():
                self._obey()
                if role is StreamRole.COPY and bandwidth_of(self._run.migration) != self._limited:
                    self._limit()

    def _silent(self) -> bool:
        """Take one message; whether it, or its lack, is a reason to ask."""
        run = self._run
        item = run.inbox.get(QUIET_S)
        if item is None:
            return run.context.mail.is_silent(run.migration.id)
        return isinstance(item, TransferEnded | DomainEvent)

    def _check_off(self) -> None:
        """What it writes now may be behind the streams already, and gone with the source's volumes.

        :raises Refused: ``guest.busy`` when somebody has started the guest.
        """
        run = self._run
        if not self._bases and look(run, run.source).active:
            raise Refused(
                "guest.busy",
                f"{run.migration.instance_name} has been started on {run.source} while its volumes were"
                " copied; what was copied is not what it has now",
            )

    def _limit(self) -> None:
        """Hold the streams to what they may use now. An agent that is away is told when it is asked to
        go on, at the latest."""
        run = self._run
        limit = bandwidth_of(run.migration)
        request = LimitStreams(
            **run.head(run.source, self._next("limit"), LIMIT_DEADLINE_S), bandwidth_mib_s=limit
        )
        try:
            send(run.source, run.context.agents.limit_streams, request)
        except Transient as away:
            run.note("step", f"{run.source} could not be told the bandwidth: {away.message}")
            return
        self._limited = limit
        run.note("step", f"copying at {f'{limit} MiB/s at most' if limit else 'full speed'} now")

    def _ask(self, host: str, role: StreamRole) -> StreamsView:
        migration = self._run.migration
        ref = StreamsRef(
            instance_id=migration.instance_id,
            migration_id=migration.id,
            attempt=migration.attempt,
            role=role,
        )
        return self._run.context.agents.streams(host, ref)

    def _obey(self) -> None:
        """:raises Refused: ``migration.aborted``"""
        self._run.reread()
        self._run.refuse_if_aborted()

    def _next(self, what: str) -> str:
        self._asked += 1
        return f"{self._name}-{what}-{self._asked}"


def _volumes(placed: Placed, results: Results) -> list[Pair]:
    """Disks that are copied, and what belongs to the guest besides."""
    disks = [
        (
            VolumeRef(move.source_pool or "", move.source_volume or ""),
            VolumeRef(move.pool or "", move.volume or ""),
        )
        for move in copied(placed.disks)
    ]
    here, there = state_files(results, HERE), state_files(results, THERE)
    return disks + [
        (VolumeRef(source.pool, source.name), VolumeRef(destination.pool, destination.name))
        for source, destination in zip(here, there, strict=True)
    ]


def stop_streams(run: Run, host: str, why: str) -> StreamsStopped:
    """End what this attempt streams there, and forget what came of it."""
    request = StopStreams(**run.head(host, f"stop_streams-{why}", DEADLINE_S))
    return send(host, run.context.agents.stop_streams, request)


def _mismatch(
    held: Sequence[VolumeDigest], arrived: Sequence[VolumeDigest]
) -> MigratorError | None:
    for source, destination in zip(held, arrived, strict=True):
        wrong = difference(source, destination)
        if wrong is not None:
            return Broken(
                "copy.mismatch",
                f"the copy of {source.ref.volume} in pool {destination.ref.pool} is none: {wrong}",
            )
    return None


def _error(view: StreamsView) -> MigratorError:
    document = {"class": view.error_class, "code": view.error_code, "message": view.error}
    return error_from_dict(document)


def _why(run: Run, moves: Sequence[DiskMove]) -> str:
    if not moves:
        return "no volume has to be copied"
    total = sum(move.virtual_size for move in moves)
    return (
        f"{len(moves)} volume{'s' * (len(moves) > 1)}, {-(-total // MIB)} MiB at most, from "
        f"{run.source} to {run.destination}"
    )

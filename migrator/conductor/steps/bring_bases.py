"""Have what the guest's disks stand on at the destination, before anything is made that stands on it.

Nobody writes to it, so this goes on while the guest runs. What is there already is used when it holds
the same, and is never written to; what is not is streamed, and stays there once it is whole: from then
on other guests may stand on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from migrator.conductor.run import Run, send
from migrator.conductor.steps.base import Result, Results, Step
from migrator.conductor.steps.copy_volumes import DEADLINE_S, Copying, Pair, stop_streams
from migrator.conductor.steps.place import Placed
from migrator.errors import Refused, Transient
from migrator.messages import KeepBases, ReceiveBases, UndoDestination
from migrator.model import AddTodo, BaseMove, DiskMove, TodoKind, VolumeDigest, VolumeRef
from migrator.states import PAST_NO_RETURN, MigrationState
from migrator.storage.bases import to_be_there
from migrator.storage.content import content_digest
from migrator.storage.destination import Volume
from migrator.storage.ranges import difference
from migrator.storage.tell import planned_bases

UNDO_DEADLINE_S = 15.0
BASE_CHANGED = "disk.base_changed"
"""What the event is known by; the guest has lived with it, so nothing is refused for it."""
ARRIVING_S = 2.0
"""Between two looks at what another migration brings."""


class BringBases(Step):
    """Its undo ends the streams and deletes what is not whole."""

    name = "bring_bases"
    needs = ("place",)

    def execute(self, run: Run, results: Results) -> Result:
        placed = msgspec.convert(results["place"], Placed)
        bases = to_be_there(placed.disks)
        if not bases:
            return {}
        if run.migration.state is MigrationState.CLAIMED:
            run.move(MigrationState.PREPARING, f"{run.destination} gets what the disks stand on")
        made = self._receive(run, placed)
        peer_uri = placed.destination.peer_uri
        held: dict[Volume, str] = {}
        for base in bases:
            copying = Copying(run, [_pair(base)], peer_uri, base=f"{base.pool}/{base.volume}")
            if (base.pool, base.volume) in made:
                (digest,) = copying.until_proven(first=False)
                run.note("step", f"brought {_named(base)} to {run.destination}")
            else:
                digest = _compare(run, copying, base)
                run.note("step", f"{_named(base)} of {run.destination} holds the same")
            stop_streams(run, run.source, f"{self.name}-{base.volume}")
            held[base.pool, base.volume] = content_digest(digest)
        self._keep(run, placed)
        _record(run, placed.disks, held)
        return {"made": sorted(map(list, made))}

    def revert(self, run: Run, results: Results) -> None:
        placed = msgspec.convert(results["place"], Placed)
        created = planned_bases(placed.disks)
        if run.migration.state in PAST_NO_RETURN or not created:
            return
        run.until_answered(
            f"{run.source} to end its streams",
            lambda: stop_streams(run, run.source, f"{self.name}-undo"),
        )
        host = run.destination
        try:
            stop_streams(run, host, f"{self.name}-undo")
            head = run.head(host, f"{self.name}-undo", UNDO_DEADLINE_S)
            request = UndoDestination(**head, created=created)
            undone = send(host, run.context.agents.undo_destination, request)
        except Transient as away:
            run.note("step", f"{host} is to be cleaned later: {away.message}", code=away.code)
            run.update([AddTodo(TodoKind.UNDO_DESTINATION, host)])
            run.context.todo.put(host)
            return
        for removed in undone.removed:
            run.note("step", f"{host}: removed {removed}")

    def _receive(self, run: Run, placed: Placed) -> set[tuple[str, str]]:
        host = run.destination
        request = ReceiveBases(
            **run.head(host, self.name, DEADLINE_S), volumes=planned_bases(placed.disks)
        )
        ask = run.context.agents.receive_bases
        received = run.persist(lambda: send(host, ask, request))
        return {(pool, volume) for pool, volume in received.made}

    def _keep(self, run: Run, placed: Placed) -> None:
        host = run.destination
        request = KeepBases(
            **run.head(host, f"{self.name}-keep", DEADLINE_S), volumes=planned_bases(placed.disks)
        )
        run.persist(lambda: send(host, run.context.agents.keep_bases, request))


def _compare(run: Run, copying: Copying, base: BaseMove) -> VolumeDigest:
    """:raises Refused: ``disk.base_differs``"""
    (here,) = copying.prove(at_source=True)
    while True:
        (there,) = copying.prove()
        wrong = difference(here, there)
        if wrong is None:
            return here
        if not _arriving(run, base):
            raise Refused(
                "disk.base_differs",
                f"pool {base.pool} of {run.destination} has a volume {base.volume} that is not the one "
                f"the guest's disk stands on: {wrong}. It is left alone; rename one of the two, choose "
                "another pool with --map-disk, or add --flatten to have the copy stand alone",
                pool=base.pool,
                volume=base.volume,
            )
        # Another migration brings it just now: what it holds is not whole yet.
        run.inbox.get(ARRIVING_S)
        run.reread()
        run.refuse_if_aborted()


def _arriving(run: Run, base: BaseMove) -> bool:
    """Whether another migration to the same host may be streaming it."""
    return any(
        other.id != run.migration.id
        and other.destination == run.migration.destination
        and other.state in (MigrationState.PREPARING, MigrationState.CLAIMED)
        and (base.pool, base.volume)
        in {(each.pool, each.volume) for each in to_be_there(other.disks)}
        for other in run.context.stores.migrations.unfinished()
    )


def _record(run: Run, moves: Sequence[DiskMove], held: Mapping[Volume, str]) -> None:
    """What the destination's layers hold is recorded with the disks once the guest is there; what was
    recorded before must be what they held."""
    here = {
        (base.source_pool, base.source_volume): held[base.pool, base.volume]
        for base in to_be_there(moves)
    }
    for record in run.context.stores.disks.of_instance(run.migration.instance_id):
        for layer in record.chain:
            now = here.get((layer.pool or "", layer.volume or ""))
            if now is not None and layer.sha256 is not None and layer.sha256 != now:
                run.note(
                    "alarm",
                    f"{BASE_CHANGED}: {layer.pool}/{layer.volume}, which disk {record.target} stands "
                    "on, is not what it was at the last move: somebody has written to it, and what the "
                    "guest reads there has changed under it",
                    target=record.target,
                )
    run.update(disks=tuple(_with_digests(move, held) for move in run.migration.disks))


def _with_digests(move: DiskMove, held: Mapping[Volume, str]) -> DiskMove:
    backing = tuple(
        replace(layer, sha256=held.get((layer.pool or "", layer.volume or ""), layer.sha256))
        for layer in move.backing
    )
    return replace(move, backing=backing)


def _pair(base: BaseMove) -> Pair:
    return VolumeRef(base.source_pool, base.source_volume), VolumeRef(base.pool, base.volume)


def _named(base: BaseMove) -> str:
    return f"{base.pool}/{base.volume}"

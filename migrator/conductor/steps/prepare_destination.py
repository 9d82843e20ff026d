"""Let the destination make ready: pools refreshed, volumes and networks there, nothing in the way."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec

from migrator.conductor.run import Run, send
from migrator.conductor.steps.base import Result, Results, Step, pack
from migrator.conductor.steps.commit import commit
from migrator.conductor.steps.commit_cold import commit_cold
from migrator.conductor.steps.place import Placed
from migrator.errors import Refused, Transient
from migrator.messages import PrepareDestination as Ask
from migrator.messages import SourceFacts, UndoDestination
from migrator.model import AddTodo, Kind, TodoKind
from migrator.states import PAST_NO_RETURN, MigrationState
from migrator.storage.moves import bytes_by_pool
from migrator.storage.tell import planned_volumes

DEADLINE_S = 60.0
"""Refreshing a large pool takes seconds; more than this is a host in trouble."""
UNDO_DEADLINE_S = 15.0


class PrepareDestination(Step):
    """Its undo removes what this attempt left there, now or as a to-do when the host is away."""

    name = "prepare_destination"
    needs = ("describe_source", "place")

    def execute(self, run: Run, results: Results) -> Result:
        facts = msgspec.convert(results["describe_source"], SourceFacts)
        placed = msgspec.convert(results["place"], Placed)
        host = run.destination
        if run.migration.state is MigrationState.CLAIMED:
            run.move(
                MigrationState.PREPARING,
                f"{host} makes ready",
                disks=tuple(placed.disks),
                means=tuple(placed.means) or run.migration.means,
            )
        request = Ask(
            **run.head(host, self.name, DEADLINE_S),
            name=facts.name,
            migration_address=placed.destination.migration_address,
            vcpus=facts.vcpus,
            memory_mib=facts.memory_mib,
            pools=placed.pools,
            volumes=placed.volumes,
            networks=facts.networks,
            disk_address=placed.destination.disk_address,
            create=placed.created,
            placement=placed.placement,
            pool_bytes=_bytes_to_be_free(run, placed),
        )
        ask = run.context.agents.prepare_destination
        return pack(run.persist(lambda: send(host, ask, request)))

    def revert(self, run: Run, results: Results) -> None:
        if run.migration.state in PAST_NO_RETURN:
            return
        host = run.destination
        try:
            created = planned_volumes(run.migration.disks)
            head = run.head(host, self.name, UNDO_DEADLINE_S)
            request = UndoDestination(**head, created=created)
            undone = send(host, run.context.agents.undo_destination, request)
        except Transient as away:
            run.note("step", f"{host} is to be cleaned later: {away.message}", code=away.code)
            run.update([AddTodo(TodoKind.UNDO_DESTINATION, host)])
            run.context.todo.put(host)
        except Refused as refused:
            if refused.code != "abort.too_late":
                raise
            run.note("alarm", f"{host}: {refused.message}")
            arrived = commit_cold if run.migration.kind is Kind.COLD else commit
            arrived(run, results, "found on the destination while rolling back")
        else:
            for removed in undone.removed:
                run.note("step", f"{host}: removed {removed}")


def _bytes_to_be_free(run: Run, placed: Placed) -> dict[str, int]:
    """What its copies need, and what other migrations will still fill, for each byte that a pool may
    promise for one that is free."""
    # What they stand on is there by now.
    needs = bytes_by_pool([replace(move, bases=()) for move in placed.disks])
    if not needs:
        return {}
    held = run.context.stores.disks.held_bytes(run.destination, run.migration.id)
    overcommit = run.context.settings.disk_overcommit
    return {
        pool: math.ceil((wanted + held.get(pool, 0)) / overcommit) for pool, wanted in needs.items()
    }

"""Have the guest let go of devices that cannot travel with it, where its owner wants that."""

from __future__ import annotations

import msgspec

from migrator.conductor.domain_xml import devices_at
from migrator.conductor.run import Run, send
from migrator.conductor.steps.base import Result, Results, Step, pack
from migrator.conductor.steps.place import Placed
from migrator.errors import Transient
from migrator.messages import AttachDevices, SourceFacts
from migrator.messages import DetachDevices as Ask
from migrator.model import AddTodo, TodoKind
from migrator.states import MigrationState

DEADLINE_S = 30.0
"""A guest unplugs in a second or two; a busy one takes its time."""
UNDO_DEADLINE_S = 30.0
SECOND_LOOK_S = 60.0
"""After an undo: a guest that was slow to let go may still do it."""


class DetachDevices(Step):
    """Its undo gives them back, now, and a while later: a guest that did not let go in time may still do
    so, having been asked. At the destination the guest gets its new ones when it is settled there."""

    name = "detach_devices"
    needs = ("describe_source", "place")

    def harmless(self, results: Results) -> bool:
        """When there is nothing to detach."""
        return not msgspec.convert(results["place"], Placed).detach

    def execute(self, run: Run, results: Results) -> Result:
        placed = msgspec.convert(results["place"], Placed)
        if not placed.detach:
            return {}
        run.note("step", f"the guest is asked to let go of {', '.join(placed.detach)}")
        ask = run.context.agents.detach_devices
        head = run.head(run.source, self.name, DEADLINE_S)
        request = Ask(**head, addresses=placed.detach)
        return pack(run.persist(lambda: send(run.source, ask, request)))

    def revert(self, run: Run, results: Results) -> None:
        placed = msgspec.convert(results["place"], Placed)
        if run.migration.state is MigrationState.SWITCHED or not placed.detach:
            return
        facts = msgspec.convert(results["describe_source"], SourceFacts)
        devices = devices_at(facts.live_xml, {address: address for address in placed.detach})
        head = run.head(run.source, f"{self.name}-undo", UNDO_DEADLINE_S)
        ask = run.context.agents.attach_devices
        instances = run.context.stores.instances
        try:
            given = send(run.source, ask, AttachDevices(**head, devices=devices))
        except Transient as away:
            run.note("step", f"{run.source} gives its devices back later: {away.message}")
            self._look_again(run, devices, 0.0)
        else:
            self._look_again(run, devices, SECOND_LOOK_S)
            if given.seen is not None:
                here = run.source, run.migration.instance_id
                instances.record_look(*here, given.seen, given.word)
            for address in given.attached:
                run.note("step", f"{run.source}: the guest has {address} again")

    def _look_again(self, run: Run, devices: list[str], delay_s: float) -> None:
        todo = AddTodo(TodoKind.ATTACH_DEVICES, run.source, {"devices": devices}, delay_s)
        run.update([todo])
        run.context.todo.put(run.source)

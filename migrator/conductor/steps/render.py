"""Render what the destination shall define, live and persistent; only whitelisted paths may differ."""

from __future__ import annotations

import msgspec

from migrator.conductor.domain_xml import RenderRequest, render
from migrator.conductor.run import Run
from migrator.conductor.steps.base import Result, Results, Step
from migrator.conductor.steps.place import Placed
from migrator.messages import SourceFacts
from migrator.model import AttemptMark


class Render(Step):
    """Pure; nothing to undo."""

    name = "render"
    needs = ("describe_source", "place")

    def execute(self, run: Run, results: Results) -> Result:
        facts = msgspec.convert(results["describe_source"], SourceFacts)
        placed = msgspec.convert(results["place"], Placed)
        rendered = render(
            RenderRequest(
                live_xml=facts.live_xml,
                inactive_xml=facts.inactive_xml,
                source=placed.source,
                destination=placed.destination,
                mark=AttemptMark(run.migration.id, run.migration.attempt, facts.view.autostart),
                disks=tuple(placed.disks),
            )
        )
        return {
            "destination_xml": rendered.destination_xml,
            "persistent_xml": rendered.persistent_xml,
            "changes": list(rendered.changes),
        }

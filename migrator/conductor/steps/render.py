"""Render what the destination shall define, live and persistent; only whitelisted paths may differ."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import msgspec

from migrator.conductor.domain_xml import Landing, RenderRequest, render
from migrator.conductor.landing import landing_of
from migrator.conductor.run import Run
from migrator.conductor.steps.base import Result, Results, Step
from migrator.conductor.steps.place import Placed
from migrator.messages import SourceFacts
from migrator.model import AttemptMark, Kind


class Render(Step):
    """Pure; nothing to undo."""

    name = "render"
    needs: ClassVar[tuple[str, ...]] = ("describe_source", "place", "detach_devices")

    def harmless(self, results: Results) -> bool:
        return True

    def execute(self, run: Run, results: Results) -> Result:
        facts = msgspec.convert(results["describe_source"], SourceFacts)
        live_xml = results.get("detach_devices", {}).get("live_xml", facts.live_xml)
        rendered = render(_request(run, results, live_xml, facts.inactive_xml))
        return {
            "destination_xml": rendered.destination_xml,
            "persistent_xml": rendered.persistent_xml,
            "changes": list(rendered.changes),
        }


class RenderOffline(Render):
    """Of a guest that comes while it is off: nothing was taken from it for the way."""

    needs = ("describe_source", "place")

    def execute(self, run: Run, results: Results) -> Result:
        facts = msgspec.convert(results["describe_source"], SourceFacts)
        rendered = super().execute(run, results)
        if facts.saved_xml is None:
            return rendered
        # What is in a memory image is no definition and carries no mark: nobody could take it off.
        request = replace(
            _request(run, results, facts.saved_xml, facts.saved_xml), marks_definition=False
        )
        return {**rendered, "saved_xml": render(request).persistent_xml}


def _request(run: Run, results: Results, live_xml: str, inactive_xml: str | None) -> RenderRequest:
    facts = msgspec.convert(results["describe_source"], SourceFacts)
    placed = msgspec.convert(results["place"], Placed)
    return RenderRequest(
        live_xml=live_xml,
        inactive_xml=inactive_xml,
        source=placed.source,
        destination=placed.destination,
        mark=AttemptMark(run.migration.id, run.migration.attempt, facts.view.autostart),
        disks=tuple(placed.disks),
        landing=_landing(facts, placed),
        marks_definition=run.migration.kind is Kind.COLD,
    )


def _landing(facts: SourceFacts, placed: Placed) -> Landing | None:
    """None of a guest whose agent does not say what it needs: what binds it to the host stays."""
    if placed.placement is None or facts.spec is None:
        return None
    return landing_of(placed.placement, facts.spec.resources)

"""Taking the claim on the host that was selected."""

from __future__ import annotations

from dataclasses import dataclass

from migrator.conductor.claim_audit import in_words
from migrator.conductor.placement import select_hosts
from migrator.conductor.run import Run
from migrator.conductor.wanted import Move
from migrator.errors import Transient
from migrator.messages import SourceFacts
from migrator.model import TakeClaim
from migrator.scheduler.select import Judged, Selection
from migrator.states import MigrationState

GONE_ON = Transient("claim.conflict", "another migration has claimed there meanwhile; choose again")


@dataclass(frozen=True)
class Missed:
    """Another claim came first: what was selected from is out of date."""

    host: str
    conflict: Transient


def claim(run: Run, facts: SourceFacts, move: Move, selection: Selection) -> Judged | Missed:
    """On the best host of the selection, in turn with the others of this process that want it; selected
    for once more while it is our turn, if somebody was faster."""
    judged, turns = selection.fitting[0], run.context.turns
    host = judged.candidate.host
    with turns.at(host.name):
        if not turns.is_over(host.name, host.claims_generation):
            missed = _take(run, facts, judged, selection)
            if missed is None:
                return judged
        again = select_hosts(run.context, facts, move, enough=1)
        best = again.fitting[0] if again.fitting else None
        if best is None or best.candidate.host.name != host.name:
            return Missed(host.name, GONE_ON)
        missed = _take(run, facts, best, again)
        return best if missed is None else missed


def _take(run: Run, facts: SourceFacts, judged: Judged, selection: Selection) -> Missed | None:
    host = judged.candidate.host
    wanted = TakeClaim(
        host.name,
        host.claims_generation,
        facts.vcpus,
        facts.memory_mib,
        judged.placement,
        selection.group_marks,
    )
    try:
        run.move(
            MigrationState.CLAIMED,
            _why_chosen(judged),
            [wanted],
            destination=host.name,
            attempt=run.migration.attempt + 1,
            forced_policies=judged.overridden,
        )
    except Transient as conflict:
        if conflict.code != "claim.conflict":
            raise
        return Missed(host.name, conflict)
    run.context.turns.took(host.name, host.claims_generation)
    return None


def _why_chosen(judged: Judged) -> str:
    forced = f"; forced past {', '.join(judged.overridden)}" if judged.overridden else ""
    placement = judged.placement
    own = placement is not None and placement.has_own_parts
    gets = f"; the guest gets {in_words(placement)}" if own else ""
    return f"{judged.candidate.host.name} chosen with score {judged.score or 0.0:.2f}{gets}{forced}"

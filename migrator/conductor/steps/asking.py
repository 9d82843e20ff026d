"""Handing on to the source's agent what operators ask of a transfer, and what it is decided by.

An agent's process keeps none of it: a new one is told everything again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from migrator.conductor.run import Run, send
from migrator.conductor.steering import standing
from migrator.conductor.steps.base import Results
from migrator.conductor.steps.transfer_plan import policy_of
from migrator.errors import Fenced, MigratorError
from migrator.messages import Steer
from migrator.model import StandingAsks

DEADLINE_S = 8.0
MOVING_AGAIN_S = 1.0
"""Between two tries to reach the agent."""


@dataclass
class Told:
    """What the agent's process has been told."""

    incarnation: str | None = None
    asks: StandingAsks | None = None
    count: int = 0
    next_at: float = 0.0


def told_at_start(run: Run) -> Told:
    """The transfer was begun just now, with everything that had been asked."""
    incarnation = run.context.incarnations.of(run.source, run.context.stores.hosts)
    return Told(incarnation, _asks(run))


def hand_on(run: Run, results: Results, told: Told) -> None:
    """Tell the agent what it does not know, and record what it says to a force-complete."""
    incarnation = run.context.incarnations.of(run.source, run.context.stores.hosts)
    asks = _asks(run)
    unanswered = asks.force is not None and run.migration.force_result is None
    if (told.incarnation, told.asks) == (incarnation, asks) and not unanswered:
        return
    now = run.context.clock.monotonic()
    if now < told.next_at:
        return
    told.next_at = now + MOVING_AGAIN_S
    told.count += 1
    request = Steer(
        **run.head(run.source, f"steer-{told.count}-{int(now * 1000)}", DEADLINE_S),
        asks=standing(run.migration),
        policy=policy_of(run, results),
    )
    try:
        answer = send(run.source, run.context.agents.steer, request)
    except Fenced:
        raise
    except MigratorError as error:
        if told.count == 1:
            run.note("step", f"{run.source} could not be told what was asked: {error.message}")
        return
    told.incarnation, told.asks = incarnation, asks
    if unanswered and answer.result != "none":
        _record(run, answer.result, answer.why)


def _record(run: Run, result: str, why: str) -> None:
    method, by = run.migration.force_method, run.migration.force_by or "operator"
    run.update(force_result=result, force_why=why)
    run.record("force_complete", str(method), by, f"{result}: {why}" if why else result)


def _asks(run: Run) -> StandingAsks:
    """Without what the agent knows better: whether the guest is paused."""
    return replace(standing(run.migration), suspended=False)

"""Tell a transfer's monitor what was asked of it, and say what comes of it."""

from __future__ import annotations

from migrator.compute_agent.context import AgentContext
from migrator.compute_agent.marking import IN_SWITCH, is_marked
from migrator.compute_agent.tracked import Tracked
from migrator.compute_agent.transfer import leaving
from migrator.compute_agent.waiting import poll
from migrator.messages import Steer, Steered
from migrator.model import ForceMethod, Reason, StandingAsks, TransferPolicy

POLL_S = 0.05
ENDING = frozenset({"switching", "switch_under_way", "frozen_until_the_switch", "postcopy_runs"})
"""Rules by which a monitor waits for an end that has begun."""
WORDS = {
    "force_deferred": "when its disks and its memory have been copied once",
    "link_too_slow_to_force": "when anything gets across again",
    "force_asked": "it has begun",
    "switching": "it is about to switch",
}
DECIDED_AFTER = 2
"""Decisions until one must have seen what was asked: the first may have been under way."""


def run(host: AgentContext, request: Steer) -> Steered:
    """Answers once the monitor has decided with all of it in hand."""
    transfer = _find(host, request)
    if transfer is None or transfer.ended.is_set:
        return Steered(result="ended", why="no transfer runs here any more")
    refusal = refuse(request.asks, request.policy or transfer.policy)
    if refusal is not None:
        transfer.steer(StandingAsks(suspended=request.asks.suspended), request.policy)
        return Steered(result="refused", why=refusal)
    before = transfer.decisions
    transfer.steer(request.asks, request.policy)
    if request.asks.force is None:
        return Steered(result="none")

    def answered() -> bool | None:
        seen = transfer.decisions >= before + DECIDED_AFTER
        return True if seen or transfer.forced_by or transfer.ended.is_set else None

    poll(host.clock, request.deadline_s / 2, POLL_S, answered)
    return _answer(transfer)


def refuse(asks: StandingAsks, policy: TransferPolicy | None) -> str | None:
    """Why this transfer cannot be ended the way it was asked."""
    if asks.force is not ForceMethod.POSTCOPY:
        return None
    can = policy is not None and (policy.postcopy or "postcopy" in policy.restart_with)
    if can:
        return None
    return (
        "this transfer was not started so that it can go on as post-copy; use the method downtime or"
        " pause, or abort it and migrate with a profile that allows post-copy"
    )


def _answer(transfer: Tracked) -> Steered:
    if transfer.forced_by or transfer.switching:
        return Steered(result="accepted", why=_words(transfer.forced_by) or "post-copy has begun")
    if transfer.waits_for in ENDING:
        return Steered(result="accepted", why=_words(transfer.waits_for))
    if transfer.ended.is_set:
        return Steered(result="ended", why="the transfer has just ended")
    why = _words(transfer.waits_for) or "its monitor has not looked yet"
    return Steered(result="deferred", why=why)


def _words(rule: str) -> str:
    return WORDS.get(rule, rule.replace("_", " "))


def _find(host: AgentContext, request: Steer) -> Tracked | None:
    """The one this process knows, or one that another process started."""
    known = host.transfers.of_attempt(request.migration_id, request.attempt)
    if known is not None:
        return known
    view = host.hypervisor.view(request.instance_id)
    if not is_marked(view, request.migration_id, request.attempt):
        return None
    if leaving(view) or view.reason in IN_SWITCH - {Reason.MIGRATION}:
        assert view.mark is not None
        return host.transfers.adopt(request.instance_id, view.mark)
    return None

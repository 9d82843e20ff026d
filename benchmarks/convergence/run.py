"""A scenario under a policy, and under one that knows the future."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.convergence.policies import Policy
from benchmarks.convergence.scenarios import Scenario
from benchmarks.convergence.transfer import MOST_S, NOTICE_S, SWITCH_S, Ending, Transfer

ORACLE_PASSES = 60.0
"""Of the first pass's time: what does not converge by then is said never to."""
ORACLE_STEPS = 20
SAFE = 0.8
GIVEN_UP = 1.5
"""Times the first pass: by then a guest that no pre-copy catches has to be given up."""
LUCK = 2
"""Ways of looking, of all that are tried; fewer are luck."""


@dataclass(frozen=True)
class Oracle:
    """The best that can be done: pre-copy within the budget, or, without one, what is next best."""

    precopy: Ending | None
    marginal: bool
    """Only by using the budget to its last fifth, or by luck: nobody who cannot see ahead can promise
    it."""
    abort_s: float
    postcopy: Ending


def run(scenario: Scenario, policy: Policy) -> Ending:
    """Until it ends."""
    transfer = Transfer(scenario)
    policy.look(transfer.sample(boundary=False), transfer)
    next_poll = policy.poll_s
    noticed: float | None = None
    while transfer.ending is None:
        if transfer.at > MOST_S:
            transfer.give_up()
            break
        due = next_poll if noticed is None else min(next_poll, noticed)
        if transfer.until(due):
            if noticed is None:
                noticed = transfer.at + NOTICE_S
            continue
        boundary = noticed is not None and transfer.at >= noticed
        if boundary:
            noticed = None
        if transfer.at >= next_poll:
            next_poll += policy.poll_s
        policy.look(transfer.sample(boundary), transfer)
    assert transfer.ending is not None
    return transfer.ending


def oracle(scenario: Scenario) -> Oracle:
    """Looks for what is dirty at any size up to the budget, and switches whenever little enough is."""
    best = _best(_tries(scenario, 1.0))
    after_first = Transfer(scenario)
    after_first.downtime_ms = 0
    after_first.until(float("inf"))
    after_first.postcopy()
    assert after_first.ending is not None
    marginal = best is not None and _is_marginal(scenario)
    return Oracle(best, marginal, scenario.first_pass_s, after_first.ending)


def _is_marginal(scenario: Scenario) -> bool:
    """Nobody who cannot see ahead can promise it.

    A guest that writes faster than the link carries, in bursts, ends when one of the looks happens to
    fall into the right moment. Whether it will, within the time by which those that never do have to
    be given up, is luck unless several ways of looking find one.
    """
    safe = _tries(scenario, SAFE)
    if _best(safe) is None:
        return True
    writing = scenario.writing
    if writing.period == 0.0 or writing.rate < scenario.link:
        return False
    in_time = [each for each in safe if each.at <= GIVEN_UP * scenario.first_pass_s]
    return len(in_time) < LUCK


def _best(tries: Sequence[Ending]) -> Ending | None:
    return min(tries, key=lambda ending: ending.at) if tries else None


def _tries(scenario: Scenario, share: float) -> list[Ending]:
    """Every way of looking that leads to the end."""
    budget_s = scenario.budget_ms / 1000 * share - SWITCH_S
    tries = [
        _precopy(scenario, budget_s, budget_s * step / ORACLE_STEPS)
        for step in range(ORACLE_STEPS + 1)
    ]
    return [each for each in tries if each is not None]


def _precopy(scenario: Scenario, budget_s: float, look_s: float) -> Ending | None:
    """Look for what is dirty whenever the rest takes ``look_s``."""
    transfer = Transfer(scenario)
    transfer.downtime_ms = look_s * 1000
    enough = scenario.link * budget_s
    while transfer.ending is None and transfer.at < ORACLE_PASSES * scenario.first_pass_s:
        transfer.until(float("inf"))
        if transfer.ending is None and transfer.pending <= enough:
            transfer.switch()
    return transfer.ending

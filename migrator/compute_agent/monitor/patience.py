"""How long a guest that pre-copy does not catch yet is waited for. Pure.

Whoever cannot see ahead has to decide before half as much time again has gone as a first pass takes: a
guest that never becomes calm enough would otherwise cost more than it is worth.
"""

from __future__ import annotations

from collections.abc import Sequence

from migrator.compute_agent.monitor.judging import Case
from migrator.compute_agent.monitor.predict import Pass

PATIENCE = 0.49
"""Share of the first pass's time that pre-copy gets to show a guest that is calm now and then."""
PATIENCE_WITH_POSTCOPY = 0.68
"""The same where post-copy is to follow, what that will have to send included."""
LONG = 2.5
"""Times the first pass; see :func:`too_long`."""
MOSTLY_AGAIN = 0.405
"""Share of the memory. A guest that has rewritten more by the end of the first pass hardly ever becomes
calm enough, and finding out costs as much again."""


def expected_next(case: Case, took: float) -> float:
    """What an iteration of ``took`` seconds is expected to leave."""
    known = case.known
    unsent = min(known.unsent(known.bandwidth), known.left)
    took -= unsent / known.bandwidth
    if case.guest is not None:
        return unsent + case.guest.dirties(took)
    return unsent + _proportional(case.passes, took)


def _proportional(passes: Sequence[Pass], took: float) -> float:
    if not passes:
        return float("inf")
    last = passes[-1]
    return last.dirtied * min(1.0, took / last.seconds) if last.seconds > 0 else float("inf")


def too_long(case: Case, seconds: float) -> bool:
    """Of a guest that writes faster than the link carries nobody should believe a forecast of so many
    passes: it rests on the size of a working set that another burst shows to be wrong."""
    known, guest = case.known, case.guest
    if known.memory_at is None or guest is None or guest.rate < known.bandwidth:
        return False
    return case.at - known.memory_at + seconds > LONG * known.first_pass_s > 0


def patient(case: Case) -> bool:
    """Another iteration still fits into the time a guest is given to become calm."""
    known = case.known
    if known.first_pass_ended_at is None or known.bandwidth <= 0:
        return True
    took = known.left / known.bandwidth
    spent = case.at + took - known.first_pass_ended_at
    policy = case.policy
    assert policy is not None
    if policy.profile.allow_postcopy and policy.postcopy:
        rest = min(expected_next(case, took), known.left) / known.bandwidth
        if spent + rest > PATIENCE_WITH_POSTCOPY * known.first_pass_s:
            return False
    return spent <= PATIENCE * known.first_pass_s

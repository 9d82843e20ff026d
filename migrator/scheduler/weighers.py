"""Which of the hosts that fit is tried first: a table of weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migrator.scheduler.snapshot import Candidate

Weigher = Callable[["Candidate"], float]
"""All they may depend on: the order of the hosts is the same for every guest, so that nobody has to be
asked for a fit who is not needed."""


def free_memory(candidate: Candidate) -> float:
    """Share of the memory a host may promise that is still free, 0 to 1: spread by memory."""
    total = candidate.capacity.memory_mib
    return max(total - candidate.claimed_memory_mib, 0) / total if total else 0.0


def quiet_link(candidate: Candidate) -> float:
    """1 for a host nothing is arriving at, less with each arrival."""
    return 1.0 / (1 + candidate.incoming)


WEIGHERS: tuple[tuple[float, str, Weigher], ...] = (
    (1.0, "free_memory", free_memory),
    (0.5, "quiet_link", quiet_link),
)


def score(candidate: Candidate) -> float:
    """The weighted sum; larger is better."""
    total = 0.0
    for weight, _, weigh in WEIGHERS:
        total += weight * weigh(candidate)
    return total

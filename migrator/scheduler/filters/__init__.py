"""The filters, in order, cheap ones first. Each answers None or a refusal with a code and a sentence.

A *policy* filter is an operator's wish and is skipped (and recorded) by a forced migration; a
*safety* filter never is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from migrator.model import Refusal
from migrator.scheduler.filters.capacity import memory, vcpus
from migrator.scheduler.filters.host_ready import agent_alive, enabled
from migrator.scheduler.filters.not_source import not_source
from migrator.scheduler.snapshot import Candidate, Wanted

Check = Callable[[Candidate, Wanted], Refusal | None]


@dataclass(frozen=True)
class Filter:
    """One rule and what kind it is."""

    name: str
    check: Check
    policy: bool


FILTERS: tuple[Filter, ...] = (
    Filter("not_source", not_source, policy=False),
    Filter("agent_alive", agent_alive, policy=False),
    Filter("enabled", enabled, policy=True),
    Filter("vcpus", vcpus, policy=True),
    Filter("memory", memory, policy=True),
)

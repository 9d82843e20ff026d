"""The filters, in order, cheap ones first. Each answers None or a refusal with a code and a sentence.

A *policy* filter is an operator's wish and is skipped (and recorded) by a forced migration; a
*safety* filter never is. After them comes the fit, which is safety too and says where on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from migrator.model import Refusal
from migrator.scheduler.filters.capacity import memory, vcpus
from migrator.scheduler.filters.groups import affinity, anti_affinity
from migrator.scheduler.filters.host_ready import agent_alive, enabled
from migrator.scheduler.filters.labels import forbidden_tags, tags, zone
from migrator.scheduler.filters.not_source import not_source
from migrator.scheduler.filters.offers import machine, networks
from migrator.scheduler.filters.slots import slots
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
    Filter("tags", tags, policy=True),
    Filter("forbidden_tags", forbidden_tags, policy=True),
    Filter("zone", zone, policy=True),
    Filter("affinity", affinity, policy=True),
    Filter("anti_affinity", anti_affinity, policy=True),
    Filter("machine", machine, policy=False),
    Filter("networks", networks, policy=False),
    Filter("vcpus", vcpus, policy=True),
    Filter("memory", memory, policy=True),
    Filter("slots", slots, policy=False),
)

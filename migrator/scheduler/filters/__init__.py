"""The filters, in order, cheap ones first. Each answers None or a refusal with a code and a sentence.

A *policy* filter is an operator's wish and is skipped (and recorded) by a forced migration; a
*safety* filter never is. After them comes the fit, which is safety too and says where on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from migrator.model import Refusal
from migrator.scheduler.filters.capacity import memory, vcpus
from migrator.scheduler.filters.cpu import cpu
from migrator.scheduler.filters.groups import affinity, anti_affinity
from migrator.scheduler.filters.host_ready import agent_alive, enabled
from migrator.scheduler.filters.labels import forbidden_tags, tags, zone
from migrator.scheduler.filters.not_source import not_source
from migrator.scheduler.filters.offers import described, machine, networks
from migrator.scheduler.filters.slots import slots
from migrator.scheduler.filters.storage import pool_bytes, pools
from migrator.scheduler.snapshot import Candidate, Wanted

Check = Callable[[Candidate, Wanted], Refusal | None]


def _always(wanted: Wanted) -> bool:
    return True


@dataclass(frozen=True)
class Filter:
    """One rule and what kind it is."""

    name: str
    check: Check
    policy: bool
    asked: Callable[[Wanted], bool] = _always
    """Whether the guest gives it anything to look at; else it is not run on every host in vain."""
    of_host_alone: bool = False
    """It lets every host pass that is ready (:attr:`Candidate.ready`), whatever the guest."""


FILTERS: tuple[Filter, ...] = (
    Filter("not_source", not_source, policy=False),
    Filter("agent_alive", agent_alive, policy=False, of_host_alone=True),
    Filter("enabled", enabled, policy=True, of_host_alone=True),
    Filter("tags", tags, policy=True, asked=lambda wanted: bool(wanted.wishes.tags)),
    Filter(
        "forbidden_tags",
        forbidden_tags,
        policy=True,
        asked=lambda wanted: bool(wanted.wishes.forbidden_tags),
    ),
    Filter("zone", zone, policy=True, asked=lambda wanted: wanted.wishes.zone is not None),
    Filter("affinity", affinity, policy=True, asked=lambda wanted: bool(wanted.together)),
    Filter("anti_affinity", anti_affinity, policy=True, asked=lambda wanted: bool(wanted.apart)),
    Filter("machine", machine, policy=False, asked=lambda wanted: bool(wanted.machine)),
    Filter("cpu", cpu, policy=False, asked=lambda wanted: wanted.cpu is not None),
    Filter("networks", networks, policy=False, asked=lambda wanted: bool(wanted.networks)),
    Filter("pools", pools, policy=False, asked=lambda wanted: wanted.disks is not None),
    Filter("pool_bytes", pool_bytes, policy=False, asked=lambda wanted: wanted.disks is not None),
    Filter("vcpus", vcpus, policy=True),
    Filter("memory", memory, policy=True),
    Filter(
        "described",
        described,
        policy=False,
        asked=lambda wanted: wanted.particular,
        of_host_alone=True,
    ),
    Filter("slots", slots, policy=False),
)

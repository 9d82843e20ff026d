"""The host has the pools the guest's disks go to, and room in them.

Judged by the same plan as the agents' answers later, on what the host last reported: a pool of the same
name and kind as the source's may turn out to be the same storage, and speaks against nothing. What is
refused here is certain either way. The agents' answers have the last word on what passes.
"""

from __future__ import annotations

from migrator.model import Refusal
from migrator.scheduler.snapshot import Candidate, Wanted, WantedDisks
from migrator.storage.destination import DestinationStorage
from migrator.storage.plan import FULL, plan_disks

UNCERTAIN = frozenset({"disk.cache_unsafe", "disk.backing_missing"})
"""Codes that hold of disks in shared pools only."""


def pools(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse a host without a pool that a disk needs, or with one that cannot take it."""
    certain = _certain(candidate, wanted)
    if wanted.disks is not None:
        wanted.disks.judged[candidate.host.name] = certain
    found = [one for one in certain if one.code != FULL]
    return _one("pools", candidate.host.name, found)


def pool_bytes(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse a host whose pools have less free, claims taken off, than the copies need."""
    certain = None if wanted.disks is None else wanted.disks.judged.pop(candidate.host.name, None)
    if certain is None:
        certain = _certain(candidate, wanted)
    found = [one for one in certain if one.code == FULL]
    return _one("pool_bytes", candidate.host.name, found)


def _one(name: str, host: str, refusals: list[Refusal]) -> Refusal | None:
    if not refusals:
        return None
    first = refusals[0]
    told = "; ".join(dict.fromkeys(refusal.message for refusal in refusals))
    return Refusal(name, first.code, f"{host}: {told}", first.facts)


def _certain(candidate: Candidate, wanted: Wanted) -> tuple[Refusal, ...]:
    asked = wanted.disks
    if asked is None or candidate.pools is None or _as_there(candidate, asked):
        return ()
    there = candidate.pools
    storage = DestinationStorage(
        pools=there,
        shared=[name for name in asked.pools if _may_be_shared(candidate, asked, name)],
        not_shared={name: _missing(name) for name in asked.pools if name not in there},
        # What disks stand on may be there already, and needs no room then.
        present={
            (pool, layer.volume)
            for disk in asked.disks
            for layer in disk.chain
            for pool in there
            if layer.volume is not None
        },
        claimed=asked.held.get(candidate.host.name, {}),
        classes=asked.classes,
        overcommit=asked.overcommit,
    )
    refusals = plan_disks(asked.disks, storage, asked.wishes).refusals
    return tuple(one for one in refusals if one.code not in UNCERTAIN)


def _as_there(candidate: Candidate, asked: WantedDisks) -> bool:
    """Whether every pool may be shared, which is most often so: then nothing is certain."""
    return not asked.wishes.pools and all(
        _may_be_shared(candidate, asked, name) for name in asked.pools
    )


def _may_be_shared(candidate: Candidate, asked: WantedDisks, name: str) -> bool:
    there, here = (candidate.pools or {}).get(name), asked.pools[name]
    return there is not None and (here is None or here.kind == there.kind)


def _missing(name: str) -> Refusal:
    return Refusal("pools", "pool.missing", f"it has no active pool {name}")

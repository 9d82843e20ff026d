"""Hosts in, an ordered list of the ones that fit out, with why not for each of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from migrator.model import Placement, Refusal
from migrator.scheduler.filters import FILTERS
from migrator.scheduler.fit import NoFit, fit_room, room
from migrator.scheduler.fit.room import NO_LIMIT
from migrator.scheduler.snapshot import Candidate, Wanted
from migrator.scheduler.weighers import score

NAMED_AT_MOST = 3
"""Hosts named with one reason; the others of a large fleet are counted."""


@dataclass(frozen=True)
class Judged:
    """One host's answer."""

    candidate: Candidate
    refusals: tuple[Refusal, ...]
    """Every filter that says no, never only the first."""
    overridden: tuple[str, ...]
    """Policies a forced migration passes over."""
    score: float | None
    placement: Placement | None = None
    """What exactly the guest would get there; None where it does not fit."""

    @property
    def fits(self) -> bool:
        return not self.refusals


@dataclass(frozen=True)
class Selection:
    """All answers; the ones that fit first, best first, ties by name."""

    judged: tuple[Judged, ...]

    @property
    def fitting(self) -> tuple[Judged, ...]:
        return tuple(judged for judged in self.judged if judged.fits)


def select(wanted: Wanted, candidates: Sequence[Candidate], enough: int | None = None) -> Selection:
    """Judge every host the request allows.

    :param enough: as many fitting hosts will do: the best ones, the same as without. Others that no
        filter refuses are then left out, since nobody asked what exactly the guest would get there.
    """
    passed: list[tuple[float, str, Candidate, tuple[str, ...]]] = []
    refused: list[Judged] = []
    for candidate in candidates:
        name = candidate.host.name
        if name in wanted.ignored or (wanted.only is not None and name != wanted.only):
            continue
        refusals, overridden = _filtered(candidate, wanted)
        if refusals:
            if enough is None:
                refusals += _fitted(candidate, wanted)[0]
            refused.append(Judged(candidate, tuple(refusals), overridden, None))
        else:
            passed.append((-score(candidate), name, candidate, overridden))
    passed.sort(key=lambda each: each[:2])
    fitting: list[Judged] = []
    for negative, _, candidate, overridden in passed:
        if enough is not None and len(fitting) >= enough:
            break
        reasons, placement = _fitted(candidate, wanted)
        if placement is None:
            refused.append(Judged(candidate, tuple(reasons), overridden, None))
        else:
            fitting.append(Judged(candidate, (), overridden, -negative, placement))
    refused.sort(key=lambda each: each.candidate.host.name)
    return Selection((*fitting, *refused))


def _filtered(candidate: Candidate, wanted: Wanted) -> tuple[list[Refusal], tuple[str, ...]]:
    refusals: list[Refusal] = []
    overridden: tuple[str, ...] = ()
    for rule in FILTERS:
        refusal = rule.check(candidate, wanted)
        if refusal is None:
            continue
        if rule.policy and wanted.skip_policies:
            overridden += (rule.name,)
        else:
            refusals.append(refusal)
    return refusals, overridden


def _fitted(candidate: Candidate, wanted: Wanted) -> tuple[list[Refusal], Placement | None]:
    """Where on the host: the last filter, safety, and the answer a claim takes."""
    need = wanted.need
    plain = Placement(wanted.vcpus, wanted.memory_mib)
    if need is None or candidate.host.facts is None:
        return [], plain
    host = candidate.room
    if host is None:
        if need.anywhere and not need.devices:
            return [], plain
        name = candidate.host.name
        why = f"{name} does not tell its CPUs, cells and devices; upgrade its agent"
        return [Refusal("fit", "topology.unknown", why)], None
    if wanted.skip_policies:
        assert candidate.host.facts.topology is not None
        host = room(candidate.host.facts.topology, candidate.use, NO_LIMIT)
    found = fit_room(host, need, wanted.strategy)
    if isinstance(found, NoFit):
        return [_at(candidate.host.name, reason) for reason in found.reasons], None
    return [], found


def _at(host: str, reason: Refusal) -> Refusal:
    return Refusal(reason.filter, reason.code, f"{host}: {reason.message}", reason.facts)


def explain(hosts: Mapping[str, Sequence[Refusal]]) -> str:
    """Why no host fits, the most frequent reason first, in the words of the first host it is true of:
    ``h2, h3: h2 is disabled. h4: ...``.

    :param hosts: each host's refusals; one that gives a reason twice is named once.
    """
    told: dict[str, list[str]] = {}
    example: dict[str, str] = {}
    for name, refusals in hosts.items():
        for refusal in refusals:
            names = told.setdefault(refusal.code, [])
            if name not in names[-1:]:
                names.append(name)
            example.setdefault(refusal.code, refusal.message)
    ranked = sorted(told, key=lambda code: -len(told[code]))
    return ". ".join(f"{_some(told[code])}: {example[code]}" for code in ranked)


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")

"""Hosts in, an ordered list of the ones that fit out, with why not for each of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from migrator.model import Refusal
from migrator.scheduler.filters import FILTERS
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


def select(wanted: Wanted, candidates: Sequence[Candidate]) -> Selection:
    """Judge every host the request allows."""
    judged = [
        _judge(candidate, wanted)
        for candidate in candidates
        if wanted.only is None or candidate.host.name == wanted.only
    ]
    judged.sort(key=lambda each: (not each.fits, -(each.score or 0.0), each.candidate.host.name))
    return Selection(tuple(judged))


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
            if name not in names:
                names.append(name)
            example.setdefault(refusal.code, refusal.message)
    ranked = sorted(told, key=lambda code: -len(told[code]))
    return ". ".join(f"{_some(told[code])}: {example[code]}" for code in ranked)


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def _judge(candidate: Candidate, wanted: Wanted) -> Judged:
    refusals, overridden = [], []
    for rule in FILTERS:
        refusal = rule.check(candidate, wanted)
        if refusal is None:
            continue
        if rule.policy and wanted.skip_policies:
            overridden.append(rule.name)
        else:
            refusals.append(refusal)
    fits = not refusals
    return Judged(candidate, tuple(refusals), tuple(overridden), score(candidate) if fits else None)

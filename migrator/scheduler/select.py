"""Hosts in, an ordered list of the ones that fit out, with why not for each of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop
from operator import itemgetter
from typing import NamedTuple, Protocol

from migrator.model import Placement, Refusal
from migrator.scheduler.filters import FILTERS, Check, Filter
from migrator.scheduler.fit import NoFit, fit_room, hopeless, room
from migrator.scheduler.fit.room import NO_LIMIT
from migrator.scheduler.snapshot import Candidate, Wanted

NAMED_AT_MOST = 3
"""Hosts named with one reason; the others of a large fleet are counted."""


class Answer(Protocol):
    """What somebody says of a host."""

    @property
    def codes(self) -> tuple[str, ...]:
        """Of its refusals, each once."""
        ...

    @property
    def refusals(self) -> tuple[Refusal, ...]: ...


class Judged(NamedTuple):
    """One host's answer. Of a host without room the reasons are put into words when they are read."""

    name: str
    """Of the host."""
    candidate: Candidate
    filtered: tuple[Refusal, ...]
    """Every filter that says no, never only the first."""
    overridden: tuple[str, ...]
    """Policies a forced migration passes over."""
    score: float | None
    fitted: Placement | NoFit | None = None
    """Where on the host; None when nobody asked, a filter having said no."""

    @property
    def fits(self) -> bool:
        return not self.filtered and not isinstance(self.fitted, NoFit)

    @property
    def placement(self) -> Placement | None:
        """What exactly the guest would get there; None where it does not fit."""
        return self.fitted if self.fits and isinstance(self.fitted, Placement) else None

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Empty when it fits."""
        if not isinstance(self.fitted, NoFit):
            return self.filtered
        return (*self.filtered, *(_at(self.name, reason) for reason in self.fitted.reasons))

    @property
    def codes(self) -> tuple[str, ...]:
        """Of its refusals, each once; without putting them into words."""
        nowhere = self.fitted.codes if isinstance(self.fitted, NoFit) else ()
        if not self.filtered:
            return nowhere
        return tuple(dict.fromkeys((*(refusal.code for refusal in self.filtered), *nowhere)))


@dataclass(frozen=True)
class Selection:
    """All answers; the ones that fit first, best first, ties by name."""

    judged: tuple[Judged, ...]
    group_marks: tuple[tuple[str, int], ...] = ()
    """Of the guest's groups, from before the hosts were looked at."""

    @property
    def fitting(self) -> tuple[Judged, ...]:
        return tuple(judged for judged in self.judged if judged.fits)


def select(wanted: Wanted, candidates: Sequence[Candidate], enough: int | None = None) -> Selection:
    """Judge every host the request allows.

    :param enough: as many fitting hosts will do: the best ones, the same as without. Others that no
        filter refuses are then left out, since nobody asked what exactly the guest would get there.
    """
    every = [rule for rule in FILTERS if rule.asked(wanted)]
    of_ready = [_called(rule) for rule in every if not rule.of_host_alone]
    rules = [_called(rule) for rule in every]
    passed: list[tuple[float, str, Candidate, tuple[str, ...]]] = []
    refused: list[Judged] = []
    for candidate in candidates:
        name = candidate.host.name
        if name in wanted.ignored or (wanted.only is not None and name != wanted.only):
            continue
        refusals: tuple[Refusal, ...] = ()
        overridden: tuple[str, ...] = ()
        for check, policy, rule in of_ready if candidate.ready else rules:
            refusal = check(candidate, wanted)
            if refusal is None:
                continue
            if policy and wanted.skip_policies:
                overridden += (rule,)
            else:
                refusals += (refusal,)
        if refusals:
            fitted = _fitted(candidate, wanted) if enough is None else None
            refused.append(Judged(name, candidate, refusals, overridden, None, fitted))
        elif nowhere := _nowhere(candidate, wanted):
            refused.append(Judged(name, candidate, (), overridden, None, nowhere))
        else:
            passed.append((-candidate.score, name, candidate, overridden))
    fitting = _best(passed, refused, wanted, enough)
    refused.sort(key=itemgetter(0))
    return Selection((*fitting, *refused))


def _called(rule: Filter) -> tuple[Check, bool, str]:
    return rule.check, rule.policy, rule.name


def _best(
    passed: list[tuple[float, str, Candidate, tuple[str, ...]]],
    refused: list[Judged],
    wanted: Wanted,
    enough: int | None,
) -> list[Judged]:
    """Those with room, best first; those without join the refused."""
    heapify(passed)
    fitting: list[Judged] = []
    while passed and (enough is None or len(fitting) < enough):
        negative, name, candidate, overridden = heappop(passed)
        fitted = _fitted(candidate, wanted)
        if isinstance(fitted, NoFit):
            refused.append(Judged(name, candidate, (), overridden, None, fitted))
        else:
            fitting.append(Judged(name, candidate, (), overridden, -negative, fitted))
    return fitting


def _nowhere(candidate: Candidate, wanted: Wanted) -> NoFit | None:
    """The answer of a host that lacks something as a whole."""
    need, left = wanted.need, candidate.room
    if need is None or left is None or wanted.skip_policies:
        return None
    alone = hopeless(left, need)
    return NoFit(left, need, alone) if alone else None


def _fitted(candidate: Candidate, wanted: Wanted) -> Placement | NoFit:
    """Where on the host: the last question, safety, and the answer a claim takes."""
    need, left = wanted.need, candidate.room
    if need is None or left is None:
        return Placement(wanted.vcpus, wanted.memory_mib)
    if wanted.skip_policies:
        assert candidate.host.facts is not None
        assert candidate.host.facts.topology is not None
        left = room(candidate.host.facts.topology, candidate.use, NO_LIMIT)
    return fit_room(left, need, wanted.strategy)


def _at(host: str, reason: Refusal) -> Refusal:
    return Refusal(reason.filter, reason.code, f"{host}: {reason.message}", reason.facts)


def explain(hosts: Mapping[str, Answer], codes: Mapping[str, Sequence[str]]) -> str:
    """Why no host fits, the most frequent reason first, in the words of the first host it is true of:
    ``h2, h3: h2 is disabled. h4: ...``.

    :param codes: of those hosts that are told of.
    """
    told: dict[str, list[str]] = {}
    for name, said in codes.items():
        for code in said:
            if code in told:
                told[code].append(name)
            else:
                told[code] = [name]
    ranked = sorted(told, key=lambda code: -len(told[code]))
    return ". ".join(
        f"{_some(told[code])}: {_example(hosts[told[code][0]], code)}" for code in ranked
    )


def _example(answer: Answer, code: str) -> str:
    return next(refusal.message for refusal in answer.refusals if refusal.code == code)


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")

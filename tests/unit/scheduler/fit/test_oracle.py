"""The search beside a brute force that tries everything."""

from __future__ import annotations

from random import Random

import pytest

from migrator.model import Placement
from migrator.scheduler.fit import NoFit, Strategy, fit, release, take
from tests.unit.scheduler.fit.worlds import world

WORLDS = 4000
SEEDS = (1, 2, 3, 4)
"""16,000 worlds: hosts with unequal cells, siblings, pages, devices and functions; guests with shared,
dedicated and mixed CPUs, every thread, emulator and NUMA policy."""


@pytest.mark.parametrize("seed", SEEDS)
def test_the_search_finds_a_place_exactly_when_there_is_one_and_it_is_valid(seed: int) -> None:
    found = 0
    for number in range(WORLDS):
        case = world(Random(f"{seed}/{number}"))
        strategy = Strategy.SPREAD if number % 2 else Strategy.PACK
        answer = fit(case.topology, case.use, case.request, strategy)
        told = f"world {seed}/{number}: {case.topology}\n{case.use}\n{case.request}\n{answer}"
        if isinstance(answer, Placement):
            found += 1
            assert not case.faults(answer), told
        else:
            assert not case.feasible(), told
            assert answer.reasons, told
    assert WORLDS * 0.15 < found < WORLDS * 0.8


def test_releasing_what_was_taken_leaves_the_host_as_it_was() -> None:
    for number in range(WORLDS):
        case = world(Random(f"release/{number}"))
        answer = fit(case.topology, case.use, case.request)
        if isinstance(answer, Placement):
            assert release(take(case.use, answer), answer) == case.use, number


def test_what_is_taken_is_not_given_again() -> None:
    """A host is filled until nothing more fits; no two guests have anything in common."""
    for number in range(300):
        case = world(Random(f"fill/{number}"))
        use, owned = case.use, set[object]()
        for _ in range(40):
            answer = fit(case.topology, use, case.request)
            if isinstance(answer, NoFit):
                break
            mine = {*answer.own_cpus, *answer.blocked_cpus}
            mine |= {one.address for one in answer.devices}
            assert not owned & mine
            if not mine and not answer.cells and not answer.pages:
                break
            owned |= mine
            use = take(use, answer)
        else:
            raise AssertionError(f"world {number} is never full")

"""Which of the hosts that fit is tried first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.scheduler.snapshot import Candidate, Capacity
from migrator.scheduler.weighers import WEIGHERS, free_memory, quiet_link, score
from tests.unit.examples import a_candidate


@pytest.mark.parametrize(
    ("total", "claimed", "share"),
    [(8192, 0, 1.0), (8192, 2048, 0.75), (8192, 8192, 0.0), (8192, 9000, 0.0), (0, 0, 0.0)],
)
def test_free_memory_is_a_share_of_what_may_be_promised(
    total: int, claimed: int, share: float
) -> None:
    candidate = a_candidate(capacity=Capacity(8, total), claimed_memory_mib=claimed)
    assert free_memory(candidate) == share


@pytest.mark.parametrize(("incoming", "share"), [(0, 1.0), (1, 0.5), (3, 0.25)])
def test_a_link_is_quieter_with_fewer_arrivals(incoming: int, share: float) -> None:
    assert quiet_link(a_candidate(incoming=incoming)) == share


candidates = st.builds(
    a_candidate,
    capacity=st.builds(Capacity, st.integers(0, 512), st.integers(0, 1 << 22)),
    claimed_memory_mib=st.integers(0, 1 << 22),
    incoming=st.integers(0, 50),
)


@given(candidates)
def test_every_weigher_stays_between_nought_and_one(candidate: Candidate) -> None:
    assert all(0.0 <= weigh(candidate) <= 1.0 for _, _, weigh in WEIGHERS)
    assert 0.0 <= score(candidate) <= sum(weight for weight, _, _ in WEIGHERS)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"claimed_memory_mib": 1024}, {"claimed_memory_mib": 4096}),
        ({"incoming": 0}, {"incoming": 1}),
        # memory counts more than one arrival does
        ({"incoming": 1}, {"claimed_memory_mib": 4096}),
    ],
)
def test_the_better_host_scores_higher(better: dict[str, int], worse: dict[str, int]) -> None:
    assert score(a_candidate(**better)) > score(a_candidate(**worse))

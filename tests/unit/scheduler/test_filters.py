"""Each filter alone: who passes, and what one who does not is told."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.errors import CODES
from migrator.model import HostState
from migrator.scheduler.filters import FILTERS
from migrator.scheduler.filters.capacity import memory, vcpus
from migrator.scheduler.filters.host_ready import agent_alive, enabled
from migrator.scheduler.filters.not_source import not_source
from migrator.scheduler.snapshot import Candidate, Capacity, Wanted, capacity
from tests.unit.examples import FACTS, a_candidate, a_host

WANTED = Wanted(source="h1", vcpus=2, memory_mib=512)
SILENT = a_host("h2", alive=False, why_down="no report for 31 s", facts=None)
FULL = {"capacity": Capacity(8, 8192), "claimed_vcpus": 7, "claimed_memory_mib": 7681}


@pytest.mark.parametrize(
    ("check", "candidate", "code", "says"),
    [
        (not_source, a_candidate("h2"), None, ""),
        (not_source, a_candidate("h1"), "host.is_source", "on h1 already"),
        (agent_alive, a_candidate("h2"), None, ""),
        (agent_alive, a_candidate("h2", host=SILENT), "host.agent_down", "no report for 31 s"),
        (
            agent_alive,
            a_candidate("h2", host=a_host("h2", facts=None)),
            "host.agent_down",
            "has not described the host yet",
        ),
        (enabled, a_candidate("h2"), None, ""),
        (
            enabled,
            a_candidate("h2", host=a_host("h2", state=HostState.DISABLED)),
            "host.disabled",
            "`migrator host enable h2`",
        ),
        (vcpus, a_candidate("h2", **{**FULL, "claimed_vcpus": 6}), None, ""),
        (vcpus, a_candidate("h2", **FULL), "vcpus.insufficient", "can promise 1 more vCPUs.* 2"),
        (memory, a_candidate("h2", **{**FULL, "claimed_memory_mib": 7680}), None, ""),
        (memory, a_candidate("h2", **FULL), "memory.insufficient", "511 MiB more.* 512 MiB"),
    ],
)
def test_a_filter_passes_or_says_why_not(
    check: Any, candidate: Candidate, code: str | None, says: str
) -> None:
    refusal = check(candidate, WANTED)
    if code is None:
        assert refusal is None
        return
    assert refusal.code == code
    assert code in CODES
    assert re.search(says, refusal.message)


def test_a_host_promised_beyond_its_means_has_none_left_not_less() -> None:
    over = a_candidate("h2", claimed_vcpus=9, claimed_memory_mib=9000)
    for check, unit in ((vcpus, "0 more vCPUs"), (memory, "0 MiB more")):
        refusal = check(over, WANTED)
        assert refusal is not None
        assert unit in refusal.message


def test_only_wishes_may_be_passed_over_and_never_safety() -> None:
    assert [rule.name for rule in FILTERS if not rule.policy] == ["not_source", "agent_alive"]


def test_a_refusal_bears_the_name_of_its_filter() -> None:
    hopeless = a_candidate(
        "h1", host=a_host("h1", alive=False, state=HostState.DISABLED), capacity=Capacity(0, 0)
    )
    for rule in FILTERS:
        refusal = rule.check(hopeless, WANTED)
        assert refusal is not None
        assert refusal.filter == rule.name


amounts = st.integers(0, 64)


@given(amounts, amounts, amounts)
def test_what_passes_fits_and_what_fits_passes(total: int, claimed: int, needed: int) -> None:
    candidate = a_candidate(
        "h2", capacity=Capacity(total, total), claimed_vcpus=claimed, claimed_memory_mib=claimed
    )
    wanted = Wanted(source="h1", vcpus=needed, memory_mib=needed)
    for check in (vcpus, memory):
        assert (check(candidate, wanted) is None) is (claimed + needed <= total)


@pytest.mark.parametrize(
    ("cpus", "memory_", "reserved", "expected"),
    [
        (1.0, 1.0, 0, Capacity(8, 16384)),
        (16.0, 1.5, 0, Capacity(128, 24576)),
        (0.5, 1.0, 512, Capacity(4, 15872)),
        (1.0, 2.0, 20000, Capacity(8, 0)),
    ],
)
def test_a_host_may_promise_what_it_has_less_its_own_share_times_the_overcommit(
    cpus: float, memory_: float, reserved: int, expected: Capacity
) -> None:
    assert capacity(a_host(facts=FACTS), cpus, memory_, reserved) == expected


def test_a_host_nobody_has_described_may_promise_nothing() -> None:
    assert capacity(a_host(facts=None), 16.0, 1.5, 0) == Capacity(0, 0)

"""Hosts in, an ordered answer for each out."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.model import HostState, Refusal
from migrator.scheduler.filters import FILTERS
from migrator.scheduler.select import explain, select
from migrator.scheduler.snapshot import Candidate, Capacity, Wanted
from migrator.scheduler.weighers import score
from tests.unit.examples import a_candidate, a_host


@dataclass(frozen=True)
class Said:
    """An answer made of refusals."""

    refusals: tuple[Refusal, ...]

    @property
    def codes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(refusal.code for refusal in self.refusals))


WANTED = Wanted(source="h1", vcpus=2, memory_mib=512)
DISABLED = a_candidate("h4", host=a_host("h4", state=HostState.DISABLED))
SILENT = a_candidate("h5", host=a_host("h5", alive=False, why_down="no report for 31 s"))
HOPELESS = a_candidate(
    "h6",
    host=a_host("h6", alive=False, why_down="gone", state=HostState.DISABLED),
    capacity=Capacity(1, 256),
)


def names(candidates: list[Candidate], wanted: Wanted = WANTED) -> list[str]:
    return [judged.candidate.host.name for judged in select(wanted, candidates).fitting]


def test_the_best_is_first_and_equals_go_by_name() -> None:
    busy = a_candidate("h2", claimed_memory_mib=4096)
    assert names([busy, a_candidate("h9"), a_candidate("h3")]) == ["h3", "h9", "h2"]


def test_the_source_is_judged_and_does_not_fit() -> None:
    (judged,) = select(WANTED, [a_candidate("h1")]).judged
    assert [refusal.code for refusal in judged.refusals] == ["host.is_source"]
    assert judged.score is None


def test_every_no_of_a_host_is_told_and_not_only_the_first() -> None:
    (judged,) = select(WANTED, [HOPELESS]).judged
    assert [refusal.code for refusal in judged.refusals] == [
        "host.agent_down",
        "host.disabled",
        "vcpus.insufficient",
        "memory.insufficient",
    ]


def test_a_named_host_is_the_only_one_judged() -> None:
    wanted = Wanted(source="h1", vcpus=2, memory_mib=512, only="h3")
    selection = select(wanted, [a_candidate("h2"), a_candidate("h3")])
    assert [judged.candidate.host.name for judged in selection.judged] == ["h3"]
    assert select(wanted, [a_candidate("h2")]).judged == ()


def test_force_passes_over_wishes_records_them_and_obeys_safety() -> None:
    forced = Wanted(source="h1", vcpus=200, memory_mib=512, skip_policies=True)
    selection = select(forced, [DISABLED, SILENT, a_candidate("h1")])
    (fits,) = selection.fitting
    assert (fits.candidate.host.name, fits.overridden) == ("h4", ("enabled", "vcpus"))
    refused = {
        judged.candidate.host.name: [refusal.code for refusal in judged.refusals]
        for judged in selection.judged
        if not judged.fits
    }
    assert refused == {"h1": ["host.is_source"], "h5": ["host.agent_down"]}


@pytest.mark.parametrize(
    ("hosts", "sentence"),
    [
        ([], ""),
        ([[Refusal("enabled", "host.disabled", "h2 is disabled")]], "h2: h2 is disabled"),
        (
            [
                [Refusal("memory", "memory.insufficient", "h2 is full")],
                [Refusal("enabled", "host.disabled", "h3 is disabled")],
                [Refusal("enabled", "host.disabled", "h4 is disabled")],
            ],
            "h3, h4: h3 is disabled. h2: h2 is full",
        ),
        # a large fleet is not listed
        (
            [[Refusal("enabled", "host.disabled", "all are disabled")]] * 7,
            "h2, h3, h4 and 4 more: all are disabled",
        ),
        # two disks of one guest are not two hosts
        (
            [
                [
                    Refusal("disks", "disk.not_shared", "vda is not shared"),
                    Refusal("disks", "disk.not_shared", "vdb is not shared"),
                ]
            ],
            "h2: vda is not shared",
        ),
    ],
)
def test_why_nobody_fits_names_the_hosts_the_most_frequent_reason_first(
    hosts: list[list[Refusal]], sentence: str
) -> None:
    names = (f"h{number}" for number in itertools.count(2))
    answers = {name: Said(tuple(said)) for name, said in zip(names, hosts, strict=False)}
    codes = {name: answer.codes for name, answer in answers.items()}
    assert explain(answers, codes) == sentence


# ----------------------------------------------------------------------- whatever the fleet is


def fleet_host(name: str, up: bool, state: HostState, size: int, claimed: int) -> Candidate:
    return a_candidate(
        name,
        host=a_host(name, alive=up, why_down="" if up else "silent", state=state),
        capacity=Capacity(size, size * 256),
        claimed_vcpus=claimed,
        claimed_memory_mib=claimed * 256,
    )


fleets = st.lists(
    st.builds(
        fleet_host,
        st.sampled_from([f"h{number}" for number in range(1, 9)]),
        st.booleans(),
        st.sampled_from(HostState),
        st.integers(0, 8),
        st.integers(0, 8),
    ),
    unique_by=lambda candidate: candidate.host.name,
    max_size=8,
)
demands = st.builds(
    Wanted,
    source=st.just("h1"),
    vcpus=st.integers(1, 4),
    memory_mib=st.sampled_from([256, 1024]),
    only=st.none() | st.sampled_from(["h1", "h2", "h9"]),
    skip_policies=st.booleans(),
)


@given(fleets, demands)
def test_every_allowed_host_is_judged_once_and_those_that_fit_come_first(
    fleet: list[Candidate], wanted: Wanted
) -> None:
    judged = select(wanted, fleet).judged
    allowed = {each.host.name for each in fleet if wanted.only in (None, each.host.name)}
    assert sorted(each.candidate.host.name for each in judged) == sorted(allowed)
    fits = [each.fits for each in judged]
    assert fits == sorted(fits, reverse=True)


@given(fleets, demands)
def test_a_host_fits_exactly_when_every_filter_that_counts_lets_it_pass(
    fleet: list[Candidate], wanted: Wanted
) -> None:
    for judged in select(wanted, fleet).judged:
        nos = {rule.name for rule in FILTERS if rule.check(judged.candidate, wanted) is not None}
        skipped = {rule.name for rule in FILTERS if rule.policy and wanted.skip_policies}
        assert judged.fits is not bool(nos - skipped)
        assert {refusal.filter for refusal in judged.refusals} == nos - skipped
        assert set(judged.overridden) == nos & skipped


@given(fleets, demands)
def test_the_order_is_by_score_then_name_whatever_order_they_come_in(
    fleet: list[Candidate], wanted: Wanted
) -> None:
    selection = select(wanted, fleet)
    keys = [(-score(each.candidate), each.candidate.host.name) for each in selection.fitting]
    assert keys == sorted(keys)
    assert select(wanted, fleet[::-1]) == selection

"""What an audit says of claims and domains."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from migrator.conductor.claim_audit import Picture, audit
from migrator.model import (
    Claim,
    ClaimPurpose,
    DeviceGiven,
    DomainState,
    DomainSummary,
    Placement,
    Reason,
)
from tests.unit.examples import NOON, a_sighting

OWN = Placement(0, 512, ((0, 1), (1, 2)), devices=(DeviceGiven("nic", "0000:01:00.1"),))


def claim(name: str = "web", **changes: Any) -> Claim:
    base = Claim(1, "h1", name, name, ClaimPurpose.USE, 2, 512, None, NOON, OWN)
    return dataclasses.replace(base, **changes)


def domain(name: str = "web", **changes: Any) -> DomainSummary:
    return a_sighting(**{"id": name, "name": name, "held": OWN, **changes})


def findings(
    claims: list[Claim],
    domains: list[DomainSummary],
    owners: dict[str, str | None] | None = None,
    moving: frozenset[str] = frozenset(),
) -> list[tuple[str, str]]:
    known = owners if owners is not None else {"web": "h1", "db": "h1"}
    found = audit(Picture("h1", claims, domains, known, moving))
    return [(each.fault.value, each.message) for each in found]


def test_a_claim_that_is_used_as_it_says_is_in_order() -> None:
    assert findings([claim()], [domain()]) == []


@pytest.mark.parametrize(
    "kept_free",
    [{"blocked_cpus": (3,)}, {"blocked_devices": ("0000:01:00.2",)}, {"emulator_cpus": (0, 1)}],
)
def test_what_cannot_be_seen_from_outside_is_no_difference(kept_free: dict[str, Any]) -> None:
    assert findings([claim(placement=dataclasses.replace(OWN, **kept_free))], [domain()]) == []


@pytest.mark.parametrize(
    ("claims", "domains", "fault", "words"),
    [
        ([claim()], [], "leaked", "a guest that is absent here"),
        ([claim()], [domain(state=DomainState.SHUTOFF, held=None)], "leaked", "shutoff here"),
        ([claim(purpose=ClaimPurpose.FOREIGN)], [domain()], "foreign", "nobody else is given"),
        ([claim(purpose=ClaimPurpose.FOREIGN)], [], "leaked", "not there any more"),
        ([claim(purpose=ClaimPurpose.LEAVING)], [], "leaked", "claimed as leaving for a migration"),
        (
            [claim(purpose=ClaimPurpose.INCOMING)],
            [domain()],
            "leaked",
            "claimed as incoming for a migration",
        ),
        ([], [domain()], "missing", "nothing is claimed for it; it has CPU 1, CPU 2, device"),
        ([claim(vcpus=4)], [domain()], "mismatched", "4 vCPUs and 512 MiB are claimed, it has 2"),
        ([claim(memory_mib=1)], [domain()], "mismatched", "1 MiB are claimed, it has 2 and 512"),
        (
            [claim()],
            [domain(held=dataclasses.replace(OWN, pins=((0, 1), (1, 3))))],
            "mismatched",
            "CPU 1, CPU 2, device 0000:01:00.1 claimed, it has CPU 1, CPU 3, device",
        ),
        ([claim(placement=None)], [domain()], "mismatched", "no CPU or device of its own claimed"),
    ],
)
def test_each_difference_has_its_name(
    claims: list[Claim], domains: list[DomainSummary], fault: str, words: str
) -> None:
    ((found, message),) = findings(claims, domains)
    assert found == fault
    assert words in message


@pytest.mark.parametrize(
    ("owners", "words"), [({"web": "h2"}, "lives on h2"), ({}, "a guest that nobody knows")]
)
def test_a_guest_of_nobody_or_of_another_host_is_foreign(
    owners: dict[str, str | None], words: str
) -> None:
    ((fault, message),) = findings([], [domain()], owners)
    assert fault == "foreign"
    assert words in message


def test_two_that_sit_on_the_same_cpu_are_told_of_each_other() -> None:
    also = dataclasses.replace(OWN, pins=((0, 2), (1, 4)), devices=())
    told = findings([claim(), claim("db", placement=also)], [domain(), domain("db", held=also)])
    assert told == [
        ("mismatched", "CPU 2 is claimed for web as well: both sit on it; move one of them")
    ]


@pytest.mark.parametrize(
    ("claims", "domains"),
    [
        ([claim(purpose=ClaimPurpose.INCOMING)], []),
        ([claim()], []),
        ([], [domain()]),
        ([], [domain(state=DomainState.PAUSED, reason=Reason.MIGRATION)]),
    ],
)
def test_what_moves_is_not_judged(claims: list[Claim], domains: list[DomainSummary]) -> None:
    assert findings(claims, domains, moving=frozenset({"web"})) == []


@pytest.mark.parametrize("quiet", [{"state": DomainState.SHUTOFF}, {"incoming": True}])
def test_a_domain_that_does_not_run_here_needs_no_claim(quiet: dict[str, Any]) -> None:
    assert findings([], [domain(**quiet)]) == []


def test_qemus_threads_on_the_only_shared_cpu_do_not_look_like_having_their_own() -> None:
    shares = dataclasses.replace(OWN, emulator_cpus=(0,))
    seen = dataclasses.replace(OWN, emulator_cpu=0)
    assert findings([claim(placement=shares)], [domain(held=seen)]) == []
    moved = dataclasses.replace(OWN, emulator_cpu=3)
    assert len(findings([claim(placement=shares)], [domain(held=moved)])) == 1

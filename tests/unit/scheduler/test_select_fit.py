"""Selecting where guests need particular CPUs, cells, pages and devices."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from migrator.model import (
    Claim,
    ClaimPurpose,
    DeviceKind,
    HostCell,
    HostState,
    HostTopology,
    HostUse,
    PciDevice,
    Placement,
    ResourceRequest,
)
from migrator.scheduler.fit import need
from migrator.scheduler.fit.stock import stock
from migrator.scheduler.select import Selection, select
from migrator.scheduler.snapshot import Candidate, Promises, Wanted, candidate
from tests.unit.examples import FACTS, NOON, a_candidate, a_host
from tests.unit.scheduler.fit.worlds import world

PROMISES = Promises(cpu_overcommit=4.0, memory_overcommit=1.0, reserved_memory_mib=0)
PINNED = ResourceRequest(vcpus=2, memory_mib=512, dedicated=(0, 1))


def claim(number: int, host: str, placement: Placement | None, **changes: Any) -> Claim:
    values: dict[str, Any] = {
        "id": number,
        "host": host,
        "instance_id": f"guest{number}",
        "instance_name": f"guest{number}",
        "purpose": ClaimPurpose.USE,
        "vcpus": 2,
        "memory_mib": 512,
        "migration_id": None,
        "created_at": NOON,
        "placement": placement,
    }
    return Claim(**{**values, **changes})


def described(name: str, topology: HostTopology, *claims: Claim, **changes: Any) -> Candidate:
    facts = replace(FACTS, topology=topology)
    return candidate(a_host(name, facts=facts, **changes), claims, PROMISES)


def small(dedicated: tuple[int, ...] = (0, 1, 2, 3), **changes: Any) -> HostTopology:
    return HostTopology(
        cells=(HostCell(0, 8192, ((0,), (1,), (2,), (3,)), (0,)),),
        dedicated_cpus=dedicated,
        shared_cpus=changes.pop("shared", (0, 1, 2, 3)),
        **changes,
    )


def wanted(request: ResourceRequest = PINNED, **changes: Any) -> Wanted:
    values: dict[str, Any] = {
        "source": "h1",
        "vcpus": request.vcpus,
        "memory_mib": request.memory_mib,
        "sharing": request.vcpus - len(request.dedicated),
        "need": need(request),
    }
    return Wanted(**{**values, **changes})


def codes(selection: Selection) -> dict[str, list[str]]:
    return {
        each.candidate.host.name: [refusal.code for refusal in each.refusals]
        for each in selection.judged
    }


def test_the_chosen_host_says_what_exactly_the_guest_gets() -> None:
    taken = Placement(vcpus=0, memory_mib=512, pins=((0, 0), (1, 1)))
    (judged,) = select(wanted(), [described("h2", small(), claim(1, "h2", taken))]).judged
    assert judged.placement is not None
    assert judged.placement.pins == ((0, 2), (1, 3))


def test_a_host_without_room_for_it_says_so_for_each_cell() -> None:
    taken = Placement(vcpus=0, memory_mib=512, pins=((0, 0), (1, 1), (2, 2)))
    (judged,) = select(wanted(), [described("h2", small(), claim(1, "h2", taken))]).judged
    (refusal,) = judged.refusals
    assert (refusal.filter, refusal.code) == ("fit", "cpus.insufficient")
    assert refusal.message.startswith("h2: ")
    assert judged.placement is None


def test_force_passes_over_quantities_and_never_gives_a_cpu_twice() -> None:
    full = Placement(vcpus=0, memory_mib=16384, pins=((0, 0), (1, 1)))
    candidates = [described("h2", small(), claim(1, "h2", full), state=HostState.DISABLED)]
    assert codes(select(wanted(), candidates)) == {"h2": ["host.disabled", "memory.insufficient"]}
    (forced,) = select(wanted(skip_policies=True), candidates).fitting
    assert forced.overridden == ("enabled", "memory")
    assert forced.placement is not None
    assert forced.placement.own_cpus == (2, 3)
    all_taken = Placement(vcpus=0, memory_mib=0, pins=((0, 0), (1, 1), (2, 2)))
    again = [described("h2", small(), claim(1, "h2", all_taken))]
    assert codes(select(wanted(skip_policies=True), again)) == {"h2": ["cpus.insufficient"]}


def test_an_agent_that_does_not_tell_its_parts_gets_only_guests_that_need_none() -> None:
    silent = a_candidate("h2")
    assert codes(select(wanted(), [silent])) == {"h2": ["topology.unknown"]}
    plain = wanted(ResourceRequest(vcpus=2, memory_mib=512))
    (judged,) = select(plain, [silent]).fitting
    assert judged.placement == Placement(vcpus=2, memory_mib=512)


def test_hosts_that_have_refused_are_not_asked_again() -> None:
    candidates = [described(name, small()) for name in ("h2", "h3")]
    selection = select(wanted(ignored=frozenset({"h2"})), candidates)
    assert codes(selection) == {"h3": []}


def test_a_claim_of_which_only_the_size_is_known_shares_cpus() -> None:
    there = described("h2", small(), claim(1, "h2", None))
    assert (there.claimed_vcpus, there.claimed_memory_mib, there.use.cpus) == (2, 512, frozenset())


def test_where_cpus_are_set_apart_those_that_share_are_counted() -> None:
    apart = small(dedicated=(2, 3), shared=(0, 1))
    pinned = Placement(vcpus=1, memory_mib=512, pins=((0, 2),))
    there = described("h2", apart, claim(1, "h2", pinned))
    assert (there.confined, there.claimed_vcpus, there.capacity.vcpus) == (True, 1, 8)
    free = described("h2", small(), claim(1, "h2", pinned))
    assert (free.confined, free.claimed_vcpus, free.capacity.vcpus) == (False, 2, 16)


def test_who_is_leaving_is_nobodys_neighbour() -> None:
    there = described(
        "h2",
        small(),
        claim(1, "h2", None),
        claim(2, "h2", None, purpose=ClaimPurpose.INCOMING),
        claim(3, "h2", None, purpose=ClaimPurpose.LEAVING),
    )
    assert there.instances == {"guest1", "guest2"}
    assert there.incoming == 1


@pytest.mark.parametrize("seed", range(40))
def test_the_best_is_the_same_whether_all_hosts_are_judged_or_as_few_as_will_do(seed: int) -> None:
    dice = Random(seed)
    worlds = [world(dice) for _ in range(12)]
    candidates = [
        a_candidate(
            f"h{number + 2}",
            host=a_host(f"h{number + 2}", facts=replace(FACTS, topology=one.topology)),
            use=one.use,
            room=described("h", one.topology).room,
            claimed_memory_mib=dice.randrange(4096),
        )
        for number, one in enumerate(worlds)
    ]
    asked = wanted(worlds[0].request, vcpus=1, memory_mib=1)
    every = select(asked, candidates)
    for enough in (1, 3):
        few = select(asked, candidates, enough)
        assert few.fitting == every.fitting[:enough]
    if not every.fitting:
        assert codes(select(asked, candidates, 1)) == codes(every)


def test_a_host_that_tells_devices_and_no_cells_has_none_of_them_near() -> None:
    device = PciDevice("0000:3b:02.0", "8086", "154c", DeviceKind.VF)
    there = stock(HostTopology((), (), (), (device,)), HostUse())
    assert (there.amounts, there.most_near) == ((1,), (0,))

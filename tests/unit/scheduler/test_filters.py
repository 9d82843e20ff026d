"""Each filter alone: who passes, and what one who does not is told."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.errors import CODES
from migrator.messages import DiskFacts
from migrator.model import DiskFormat, HostState, PoolFacts, ResourceRequest, Wishes
from migrator.scheduler.filters import FILTERS
from migrator.scheduler.filters.capacity import memory, vcpus
from migrator.scheduler.filters.cpu import cpu
from migrator.scheduler.filters.groups import affinity, anti_affinity
from migrator.scheduler.filters.host_ready import agent_alive, enabled
from migrator.scheduler.filters.labels import forbidden_tags, tags, zone
from migrator.scheduler.filters.not_source import not_source
from migrator.scheduler.filters.offers import machine, networks
from migrator.scheduler.filters.storage import pool_bytes, pools
from migrator.scheduler.fit import need
from migrator.scheduler.snapshot import (
    Candidate,
    Capacity,
    Wanted,
    WantedCpu,
    WantedDisks,
    capacity,
)
from migrator.storage.destination import DiskWishes
from tests.unit.examples import FACTS, a_candidate, a_host

GIB = 1024**3


def a_pool(name: str, **changes: Any) -> PoolFacts:
    pool = PoolFacts(
        name, "dir", "", f"/{name}", None, 100 * GIB, 0, 100 * GIB, (DiskFormat.RAW,), ("no other",)
    )
    return replace(pool, **changes)


def a_disk(target: str, pool: str) -> DiskFacts:
    """Of two GiB."""
    return DiskFacts(
        target=target,
        device="disk",
        source_type="volume",
        pool=pool,
        volume=f"web-{target}",
        cache="none",
        virtual_size=2 * GIB,
    )


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
        (
            enabled,
            a_candidate("h2", host=a_host("h2", state=HostState.DRAINING)),
            "host.draining",
            "h2 is draining",
        ),
        (
            enabled,
            a_candidate("h2", host=a_host("h2", state=HostState.MAINTENANCE)),
            "host.maintenance",
            "h2 is in maintenance",
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
    assert [rule.name for rule in FILTERS if not rule.policy] == [
        "not_source",
        "agent_alive",
        "machine",
        "cpu",
        "networks",
        "pools",
        "pool_bytes",
        "described",
        "slots",
    ]


def test_a_refusal_bears_the_name_of_its_filter() -> None:
    hopeless = a_candidate(
        "h1",
        host=a_host("h1", alive=False, state=HostState.DISABLED, tags=("old",)),
        capacity=Capacity(0, 0),
        incoming=2,
        instances=frozenset({"enemy"}),
        machines={("x86_64", "kvm"): frozenset({"pc"})},
        cpus={("x86_64", "kvm"): frozenset({"sse2"})},
        pools={"slow": a_pool("slow", available=0)},
    )
    wanted = Wanted(
        source="h1",
        vcpus=2,
        memory_mib=512,
        arch="x86_64",
        virt_type="kvm",
        machine="pc-q35-9.0",
        cpu=WantedCpu(frozenset({"avx", "sse2"}), frozenset({"avx"}), 0),
        disks=WantedDisks(
            [a_disk("vda", "fast"), a_disk("vdb", "fast")],
            {"fast": a_pool("fast")},
            DiskWishes({"vdb": "slow"}),
        ),
        networks=("storage",),
        most_incoming=2,
        wishes=Wishes(tags=("ssd",), forbidden_tags=("old",), zone="row-1"),
        together={"db": frozenset({"friend"})},
        apart={"web": frozenset({"enemy"})},
        need=need(ResourceRequest(2, 512, dedicated=(0,))),
    )
    assert all(rule.asked(wanted) for rule in FILTERS)
    for rule in FILTERS:
        refusal = rule.check(hopeless, wanted)
        assert refusal is not None
        assert refusal.filter == rule.name


def test_a_cpu_is_judged_by_the_features_a_host_tells() -> None:
    host = a_candidate("h2", cpus={("x86_64", "kvm"): frozenset({"aes", "sse2"})})
    guest = WantedCpu(frozenset({"aes", "avx", "sse2"}), frozenset({"aes"}), 0)

    def judged(**changes: Any) -> Any:
        values: dict[str, Any] = {"arch": "x86_64", "virt_type": "kvm", "cpu": guest, **changes}
        return cpu(host, replace(WANTED, **values))

    assert judged().code == "cpu.incompatible"
    assert judged().facts == {"features": ["avx"]}
    assert judged(cpu=None) is None
    assert judged(virt_type="qemu") is None
    # A libvirt that is newer than the host's may count more to the model than the host knows of.
    newer = FACTS.libvirt_version + 1
    assert judged(cpu=replace(guest, written_by=newer)) is None
    named = replace(guest, named=frozenset({"avx"}), written_by=newer)
    assert judged(cpu=named).code == "cpu.incompatible"


def test_a_long_list_of_features_is_cut_in_the_sentence_and_whole_in_the_facts() -> None:
    host = a_candidate("h2", cpus={("x86_64", "kvm"): frozenset()})
    features = frozenset(f"f{number:02}" for number in range(20))
    wanted = replace(
        WANTED, arch="x86_64", virt_type="kvm", cpu=WantedCpu(features, frozenset(), 0)
    )
    refusal = cpu(host, wanted)
    assert refusal is not None
    assert "f11 and 8 more" in refusal.message
    assert refusal.facts["features"] == sorted(features)


@pytest.mark.parametrize(
    ("there", "wishes", "told"),
    [
        # The same name and kind may be the same storage: that is for the agents to say.
        ({"fast": a_pool("fast", available=0)}, {}, []),
        (None, {}, []),
        ({}, {}, [("pools", "pool.missing")]),
        ({"fast": a_pool("fast", kind="logical", available=10 * GIB)}, {}, []),
        (
            {"fast": a_pool("fast", kind="logical", available=GIB)},
            {},
            [("pool_bytes", "pool.full")],
        ),
        ({"slow": a_pool("slow")}, {}, [("pools", "pool.missing")]),
        # One of the same class stands in for it, or for all disks that have to go there.
        ({"quick": a_pool("quick")}, {}, []),
        ({"quick": a_pool("quick", available=4 * GIB - 1)}, {}, [("pool_bytes", "pool.full")]),
        ({"fast": a_pool("fast"), "slow": a_pool("slow")}, {"vda": "slow"}, []),
        ({"fast": a_pool("fast")}, {"vda": "slow"}, [("pools", "pool.missing")]),
        (
            {"fast": a_pool("fast"), "slow": a_pool("slow", available=3 * GIB)},
            {"vda": "slow"},
            [("pool_bytes", "pool.full")],
        ),
        (
            {"fast": a_pool("fast"), "slow": a_pool("slow", formats=(DiskFormat.QCOW2,))},
            {"vda": "slow"},
            [("pools", "pool.cannot")],
        ),
    ],
)
def test_every_disk_needs_a_pool_and_room_there(
    there: Any, wishes: dict[str, str], told: list[tuple[str, str]]
) -> None:
    wanted = replace(
        WANTED,
        disks=WantedDisks(
            disks=[a_disk("vda", "fast"), a_disk("vdb", "fast")],
            pools={"fast": a_pool("fast")},
            wishes=DiskWishes(wishes),
            # Two more GiB are promised to others in it: a disk of two fits in four.
            held={"h2": {"slow": 2 * GIB}, "h3": {"quick": 99 * GIB}},
            classes={"fast": "quick", "quick": "quick", "slow": "slow"},
        ),
    )
    refusals = [check(a_candidate("h2", pools=there), wanted) for check in (pools, pool_bytes)]
    said = [refusal for refusal in refusals if refusal is not None]
    assert [(refusal.filter, refusal.code) for refusal in said] == told
    assert all(refusal.message.startswith("h2: ") for refusal in said)


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


# ------------------------------------------------------------- what the operator and the guest want

FRIENDS = {"db": frozenset({"one", "two"})}
OFFERS = {("x86_64", "kvm"): frozenset({"q35", "pc-q35-7.2"})}


def asked(**wanted: Any) -> Wanted:
    return Wanted(source="h1", vcpus=2, memory_mib=512, **wanted)


@pytest.mark.parametrize(
    ("check", "candidate", "wanted", "code"),
    [
        (tags, {"tags": ("gpu", "ssd")}, {"wishes": Wishes(tags=("ssd",))}, None),
        (tags, {"tags": ("gpu",)}, {"wishes": Wishes(tags=("ssd", "gpu"))}, "host.tag_missing"),
        (forbidden_tags, {"tags": ("gpu",)}, {"wishes": Wishes(forbidden_tags=("old",))}, None),
        (
            forbidden_tags,
            {"tags": ("old",)},
            {"wishes": Wishes(forbidden_tags=("old",))},
            "host.tag_forbidden",
        ),
        (zone, {"zone": "row-1"}, {"wishes": Wishes(zone="row-1")}, None),
        (zone, {"zone": None}, {"wishes": Wishes(zone="row-1")}, "host.wrong_zone"),
        (zone, {"zone": "row-2"}, {"wishes": Wishes(zone="row-1")}, "host.wrong_zone"),
        (zone, {"zone": "row-2"}, {}, None),
    ],
)
def test_a_host_is_labelled_as_the_guest_asks(
    check: Any, candidate: dict[str, Any], wanted: dict[str, Any], code: str | None
) -> None:
    host = a_candidate("h2", host=a_host("h2", **candidate))
    refusal = check(host, asked(**wanted))
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize(
    ("check", "there", "wanted", "code"),
    [
        (affinity, {"two", "else"}, {"together": FRIENDS}, None),
        (affinity, {"else"}, {"together": FRIENDS}, "affinity.apart"),
        # the first of a group goes anywhere
        (affinity, {"else"}, {"together": {"db": frozenset()}}, None),
        (anti_affinity, {"else"}, {"apart": FRIENDS}, None),
        (anti_affinity, {"one", "else"}, {"apart": FRIENDS}, "affinity.together"),
    ],
)
def test_groups_stay_together_or_apart(
    check: Any, there: set[str], wanted: dict[str, Any], code: str | None
) -> None:
    refusal = check(a_candidate("h2", instances=frozenset(there)), asked(**wanted))
    assert (refusal and refusal.code) == code


@pytest.mark.parametrize(
    ("arch", "virt_type", "name", "says"),
    [
        ("x86_64", "kvm", "q35", None),
        ("x86_64", "kvm", "pc-q35-9.0", "does not have machine type pc-q35-9.0"),
        ("x86_64", "xen", "q35", "cannot run xen guests"),
        # hosts do not tell what they emulate
        ("s390x", "qemu", "s390-ccw", None),
    ],
)
def test_a_machine_type_must_be_on_offer(
    arch: str, virt_type: str, name: str, says: str | None
) -> None:
    wanted = asked(arch=arch, virt_type=virt_type, machine=name)
    refusal = machine(a_candidate("h2", machines=OFFERS), wanted)
    assert (refusal is None) is (says is None)
    assert refusal is None or re.search(says or "", refusal.message)
    assert machine(a_candidate("h2", machines={}), wanted) is None


def test_every_network_must_be_there() -> None:
    refusal = networks(a_candidate("h2"), asked(networks=("default", "dmz", "lan")))
    assert refusal is not None
    assert refusal.facts == {"networks": ["dmz", "lan"]}
    assert networks(a_candidate("h2"), asked(networks=("default",))) is None


def test_where_cpus_are_set_apart_only_vcpus_that_share_count() -> None:
    full = a_candidate("h2", confined=True, capacity=Capacity(4, 8192), claimed_vcpus=3)
    assert vcpus(full, asked(sharing=1)) is None
    assert vcpus(full, asked(sharing=2)) is not None
    assert vcpus(a_candidate("h2", capacity=Capacity(1, 8192)), asked(sharing=1)) is not None

"""How memory is sent, and why so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.conductor.eligibility import Guest, Pair, emulator_cpus, judge
from migrator.conductor.sending_plan import Route, SendingPlan, plan
from migrator.model import (
    BALANCED,
    GUARANTEED,
    PLAIN,
    STRICT,
    Forecast,
    Means,
    Packing,
    Profile,
    Sending,
)

OLD, NEW = Pair(9_000_000, 7_002_022), Pair(11_000_000, 10_001_000)
GIGABIT, FORTY = 119.0, 4768.0
"""MiB/s of 1 and 40 Gb/s."""


def route(link: float | None, pair: Pair = OLD, **changes: object) -> Route:
    known = Route(link, pair.libvirt, pair.qemu, cpus=32, memory_mib=8192)
    return replace(known, **changes)  # type: ignore[arg-type]


ORDINARY = Guest()


def chosen(
    way: Route, profile: Profile = STRICT, expected: Forecast | None = None, guest: Guest = ORDINARY
) -> SendingPlan:
    pair = Pair(way.libvirt, way.qemu, way.encrypted, locks_memory=way.locks_memory)
    return plan(way, profile, judge(pair, guest), expected)


def told(made: SendingPlan, means: Means) -> str:
    return next(str(each) for each in made.means if each.means is means)


def forecast(
    packing: Packing, method: str = "precopy", sure: bool = False, link: float | None = GIGABIT
) -> Forecast:
    return Forecast(method, None, None, link, 50.0, "test", sure, packing)


@pytest.mark.parametrize(
    ("way", "profile", "expected", "connections", "why"),
    [
        (route(None), STRICT, None, 1, "not used, the speed of the link is not known"),
        (route(GIGABIT), STRICT, None, 1, "not used, one connection fills a 119 MiB/s link"),
        (route(FORTY), STRICT, None, 4, "used, 4 connections for a 4768 MiB/s link"),
        (route(50000.0), STRICT, None, 16, "used, 16 connections for a 50000 MiB/s link"),
        (route(FORTY, cpus=2), STRICT, None, 2, "used, 2 connections"),
        (route(FORTY, cpus=1), STRICT, None, 1, "not used, there is no CPU"),
        (route(1192.0, encrypted=True), STRICT, None, 5, "used, 5 connections"),
        (route(GIGABIT, encrypted=True), STRICT, None, 1, "one encrypted connection fills"),
        (route(FORTY, carried=4000.0), STRICT, None, 1, "has carried 4000 of the link's 4768"),
        (route(FORTY, carried=1200.0), STRICT, None, 4, "used, "),
        (route(FORTY), GUARANTEED, None, 1, "not used, before QEMU 10.1"),
        (route(FORTY, NEW), GUARANTEED, None, 4, "used, "),
        (route(FORTY), GUARANTEED, forecast(Packing.NOTHING, sure=True), 4, "used, "),
        (route(FORTY), BALANCED, None, 4, "used, "),
        (route(FORTY, Pair(4_000_000, 7_002_022)), STRICT, None, 1, "no, libvirt 4.0 is older"),
    ],
)
def test_several_connections_are_used_only_where_one_cannot_fill_the_link(
    way: Route, profile: Profile, expected: Forecast | None, connections: int, why: str
) -> None:
    made = chosen(way, profile, expected)
    assert made.sending == Sending(connections)
    assert why in told(made, Means.PARALLEL)


def test_a_guest_that_cannot_go_on_as_post_copy_does_not_lose_it() -> None:
    assert chosen(route(FORTY), GUARANTEED, guest=Guest(vfio=True)).sending.parallel


@pytest.mark.parametrize(
    ("way", "guest", "used", "why"),
    [
        (route(FORTY, locks_memory=True), Guest(), True, "used, which spares"),
        (route(FORTY), Guest(), False, "not used, whether the source's libvirt may lock"),
        (route(FORTY, locks_memory=False), Guest(), False, "no, the source's libvirt may not"),
        (route(GIGABIT, locks_memory=True), Guest(), False, "not used, only parallel"),
        (route(FORTY, locks_memory=True, encrypted=True), Guest(), False, "no, the stream is"),
        (route(FORTY, locks_memory=True), Guest(memory_limited=True), False, "no, the guest's"),
    ],
)
def test_memory_is_sent_uncopied_only_where_nothing_forbids_it(
    way: Route, guest: Guest, used: bool, why: str
) -> None:
    made = chosen(way, guest=guest)
    assert made.sending.zero_copy is used
    assert why in told(made, Means.ZERO_COPY)


@pytest.mark.parametrize(
    ("way", "profile", "expected", "compression", "why"),
    [
        (route(GIGABIT), STRICT, None, None, "not used, the guest's dirty rate was not measured"),
        (route(GIGABIT, NEW), STRICT, forecast(Packing.SOONER), "zstd", "ends sooner"),
        (route(GIGABIT, NEW), STRICT, forecast(Packing.NEEDED, "none"), "zstd", "without which"),
        (route(GIGABIT), STRICT, forecast(Packing.NEEDED, "none"), "xbzrle", "without which"),
        (route(GIGABIT), STRICT, forecast(Packing.SOONER), None, "pre-copy ends without it"),
        (route(GIGABIT), BALANCED, forecast(Packing.NEEDED), None, "more surely"),
        (route(GIGABIT), STRICT, forecast(Packing.NOTHING, "none"), None, "would not gain"),
        (route(FORTY), STRICT, forecast(Packing.NEEDED, "none"), None, "slower than"),
        (route(None), STRICT, forecast(Packing.NEEDED, "none", link=None), None, "not known"),
        (route(None), STRICT, forecast(Packing.NEEDED, "none"), "xbzrle", "without which"),
        (route(GIGABIT, encrypted=True), STRICT, forecast(Packing.NEEDED, "none"), None, "no, "),
    ],
)
def test_memory_is_packed_only_where_the_link_is_slow_and_pre_copy_gains(
    way: Route, profile: Profile, expected: Forecast | None, compression: str | None, why: str
) -> None:
    made = chosen(way, profile, expected)
    assert made.sending.compression == compression
    assert why in told(made, Means.COMPRESSION)


@given(
    link=st.none() | st.floats(1, 20000),
    pair=st.sampled_from([OLD, NEW, Pair(9_004_000, 9_000_000)]),
    cpus=st.integers(1, 64),
    encrypted=st.booleans(),
    locks=st.sampled_from([None, True, False]),
    profile=st.sampled_from([STRICT, BALANCED, GUARANTEED]),
    packing=st.sampled_from(list(Packing)),
    sure=st.booleans(),
)
def test_nothing_is_chosen_that_libvirt_would_refuse_or_that_costs_an_ending(
    link: float | None,
    pair: Pair,
    cpus: int,
    encrypted: bool,
    locks: bool | None,
    profile: Profile,
    packing: Packing,
    sure: bool,
) -> None:
    way = route(link, pair, cpus=cpus, encrypted=encrypted, locks_memory=locks)
    made = chosen(way, profile, forecast(packing, "none", sure))
    for sending in (made.sending, made.packed):
        assert sending.connections <= max(cpus, 1)
        assert not (sending.zero_copy and (encrypted or sending.compression))
        assert not (sending.zero_copy and not sending.parallel)
        assert (sending.compression == "zstd") <= sending.parallel
        assert (sending.compression == "xbzrle") <= (not sending.parallel)
    keeps = not made.excludes_postcopy or sure or not profile.allow_postcopy
    assert keeps
    assert made.sending == PLAIN or any(each.used for each in made.means)


def test_where_its_own_threads_may_run_is_read_from_the_domain() -> None:
    assert emulator_cpus("<domain><vcpu>4</vcpu></domain>") is None
    assert emulator_cpus("<domain><vcpu cpuset='0-3'>4</vcpu></domain>") == 4
    pinned = (
        "<domain><vcpu cpuset='0-3'>4</vcpu><cputune><emulatorpin cpuset='7'/></cputune></domain>"
    )
    assert emulator_cpus(pinned) == 1

"""What two hosts and a guest allow, and why not."""

from __future__ import annotations

import dataclasses

import pytest

from migrator.conductor.eligibility import Guest, Pair, guest_of, judge, possible, why_not
from migrator.conductor.transfer_plan import helping_flags
from migrator.model import (
    BALANCED,
    GUARANTEED,
    OFFLINE_OK,
    STRICT,
    Forecast,
    Means,
    Profile,
)

NEW = Pair(11_000_000, 10_001_000)
OLD = Pair(4_000_000, 4_000_000)


def test_every_means_is_judged_once() -> None:
    assert [each.means for each in judge(NEW, Guest())] == list(Means)


@pytest.mark.parametrize(
    ("pair", "guest", "means", "why"),
    [
        (NEW, Guest(vfio=True), Means.POSTCOPY, "VFIO device"),
        (NEW, Guest(huge_pages=True), Means.POSTCOPY, "huge pages"),
        (NEW, Guest(paused=True), Means.POSTCOPY, "paused"),
        (NEW, Guest(shared=True), Means.POSTCOPY, "shared"),
        (NEW, Guest(file_backed=True), Means.POSTCOPY, "file"),
        (NEW, Guest(persistent_memory=True), Means.POSTCOPY, "persistent memory"),
        (OLD, Guest(), Means.POSTCOPY, "libvirt 4.0 is older than 8.5"),
        (OLD, Guest(), Means.PARALLEL, "libvirt 4.0 is older than 5.2"),
        (Pair(9_000_000, 6_000_000), Guest(), Means.ZERO_COPY, "QEMU 6.0 is older than 7.1"),
        (dataclasses.replace(NEW, encrypted=True), Guest(), Means.ZERO_COPY, "encrypted"),
        (NEW, Guest(), Means.SYNCHRONOUS_WRITES, "no disk is copied"),
        (NEW, Guest(paused=True), Means.PAUSE, "paused already"),
        (NEW, Guest(paused=True), Means.THROTTLE, "paused"),
    ],
)
def test_a_no_says_why(pair: Pair, guest: Guest, means: Means, why: str) -> None:
    verdicts = judge(pair, guest)
    assert not possible(verdicts, means)
    assert why in why_not(verdicts, means)
    assert f"{means}: no, " in "\n".join(map(str, verdicts))


def test_an_ordinary_guest_between_new_hosts_may_do_anything() -> None:
    verdicts = judge(NEW, Guest(copies_disks=True))
    assert all(each.possible for each in verdicts)
    assert str(verdicts[0]) == "precopy: yes"


@pytest.mark.parametrize(
    ("xml", "guest"),
    [
        ("<domain><devices/></domain>", Guest()),
        (
            "<domain><devices><hostdev type='pci'/></devices></domain>",
            Guest(vfio=True),
        ),
        (
            "<domain><devices><interface type='hostdev'/></devices></domain>",
            Guest(vfio=True),
        ),
        ("<domain><devices><hostdev type='usb'/></devices></domain>", Guest()),
        (
            "<domain><memoryBacking><hugepages/><source type='file'/><access mode='shared'/>"
            "</memoryBacking><devices><memory model='nvdimm'/></devices></domain>",
            Guest(huge_pages=True, file_backed=True, shared=True, persistent_memory=True),
        ),
    ],
)
def test_what_decides_is_read_from_the_domain(xml: str, guest: Guest) -> None:
    assert guest_of(xml, paused=False) == guest


SURE = Forecast("precopy", None, None, 100.0, 5.0, "test")
UNSURE = Forecast("precopy", None, None, None, None, "test")


@pytest.mark.parametrize(
    ("profile", "guest", "expected", "flags"),
    [
        (STRICT, Guest(), None, set()),
        (GUARANTEED, Guest(), None, {"postcopy"}),
        (GUARANTEED, Guest(vfio=True), None, set()),
        (BALANCED, Guest(), None, {"auto_converge"}),
        (BALANCED, Guest(), UNSURE, {"auto_converge"}),
        (BALANCED, Guest(), SURE, set()),
        (BALANCED, Guest(paused=True), None, set()),
        (OFFLINE_OK, Guest(), None, set()),
        (dataclasses.replace(GUARANTEED, allow_throttle=True), Guest(), None, {"postcopy"}),
        (
            dataclasses.replace(GUARANTEED, allow_throttle=True, allow_pause=False),
            Guest(vfio=True),
            None,
            {"auto_converge"},
        ),
    ],
)
def test_a_flag_is_given_only_where_profile_hosts_and_guest_allow_it(
    profile: Profile, guest: Guest, expected: Forecast | None, flags: set[str]
) -> None:
    assert helping_flags(profile, judge(NEW, guest), expected) == flags

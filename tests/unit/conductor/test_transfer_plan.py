"""The flags a transfer starts with."""

from __future__ import annotations

import itertools

import pytest

from migrator.conductor.transfer_plan import DiskCopy, needs_synchronous_writes, start_flags
from migrator.model import DiskMode, DiskMove

ALWAYS = ["abort_on_error", "live", "peer2peer"]


@pytest.mark.parametrize(
    ("persistent", "needs_unsafe", "encryption", "added"),
    [
        (False, False, "off", []),
        (True, False, "off", ["persist_dest", "undefine_source"]),
        (False, True, "off", ["unsafe"]),
        (False, False, "required", ["tls"]),
        (True, True, "required", ["persist_dest", "tls", "undefine_source", "unsafe"]),
    ],
)
def test_flags_say_what_the_guest_and_the_network_need(
    persistent: bool, needs_unsafe: bool, encryption: str, added: list[str]
) -> None:
    disks = DiskCopy(needs_unsafe)
    assert start_flags(persistent, encryption, disks) == sorted(ALWAYS + added)


@pytest.mark.parametrize(
    ("persistent", "needs_unsafe", "encryption"),
    list(itertools.product([True, False], [True, False], ["required", "off"])),
)
def test_a_definition_moves_whole_or_not_at_all(
    persistent: bool, needs_unsafe: bool, encryption: str
) -> None:
    flags = set(start_flags(persistent, encryption, DiskCopy(needs_unsafe)))
    assert ("persist_dest" in flags) is ("undefine_source" in flags) is persistent
    assert ("unsafe" in flags) is needs_unsafe
    assert ("tls" in flags) is (encryption == "required")


MIB = 1024 * 1024
COPIED = DiskMove("vda", DiskMode.COPY, "")
SHARED = DiskMove("vdb", DiskMode.SHARED, "")


def test_disks_are_copied_only_when_there_are_some_to_copy() -> None:
    """libvirt takes an empty list of disks for all of them."""
    assert "non_shared_disk" not in start_flags(True, "off", DiskCopy(True, [SHARED], True))
    flags = start_flags(True, "off", DiskCopy(True, [COPIED, SHARED], synchronous=False))
    assert {"non_shared_disk", "unsafe"} < set(flags)
    assert "non_shared_synchronous_writes" not in flags
    assert DiskCopy(True, [COPIED, SHARED]).targets == ["vda"]


def test_writes_are_mirrored_synchronously_when_they_are_faster_than_the_limit() -> None:
    def needed(rate_mib_s: float, bandwidth: int | None = None, target: str = "vda") -> bool:
        rates = {target: rate_mib_s * MIB}
        return needs_synchronous_writes([COPIED, SHARED], rates, 32.0, bandwidth)

    assert needed(33)
    assert not needed(32)
    assert not needed(1000, target="vdb"), "only copied disks count"
    assert not needed(1000, target="sda")
    assert needed(5, bandwidth=8), "more than half of what the copy may use"
    assert not needed(4, bandwidth=8)
    assert not needed(32, bandwidth=1000)

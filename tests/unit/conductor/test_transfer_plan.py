"""The flags a transfer starts with."""

from __future__ import annotations

import itertools

import pytest

from migrator.conductor.transfer_plan import start_flags

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
    assert start_flags(persistent, needs_unsafe, encryption) == sorted(ALWAYS + added)


@pytest.mark.parametrize(
    ("persistent", "needs_unsafe", "encryption"),
    list(itertools.product([True, False], [True, False], ["required", "off"])),
)
def test_a_definition_moves_whole_or_not_at_all(
    persistent: bool, needs_unsafe: bool, encryption: str
) -> None:
    flags = set(start_flags(persistent, needs_unsafe, encryption))
    assert ("persist_dest" in flags) is ("undefine_source" in flags) is persistent
    assert ("unsafe" in flags) is needs_unsafe
    assert ("tls" in flags) is (encryption == "required")

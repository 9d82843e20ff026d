"""The same guest, which no pre-copy can catch, ends as its profile says; the trace says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.nested.lab import Document, Lab

pytestmark = pytest.mark.nested

LINK_MBIT = "400"
"""A guest that rewrites 128 MiB without pause dirties more than that carries."""


@pytest.fixture
def slow_lab(lab: Lab) -> Iterator[Lab]:
    for host in lab.hosts:
        lab.tool("limit", host.name, LINK_MBIT)
    yield lab
    for host in lab.hosts:
        lab.tool("limit", host.name, "0")


def _ended(lab: Lab, guest: str, *options: str) -> tuple[Document, dict[str, str]]:
    """The migration, and (action -> rule) of what its monitor did."""
    home = lab.home_of(guest)
    to = lab.other(home).name
    done = lab.migrator("migrate", guest, "--host", to, "--wait", *options, "-f", "json")
    view: Document = done.json
    return view, {each["action"]: each["rule"] for each in view["actions"]}


def test_a_guest_that_cannot_be_caught_ends_as_its_profile_says(slow_lab: Lab) -> None:
    lab = slow_lab
    guest = lab.boot("busy", lab.hosts[0], "--dirty", "128", "--dirty-rate", "0")

    view, trace = _ended(lab, guest, "--profile", "strict")
    assert (view["state"], trace["abort"]) == ("failed", "not_converging")
    assert lab.home_of(guest) == lab.hosts[0]

    view, trace = _ended(lab, guest, "--profile", "guaranteed")
    assert (view["state"], view["method"]) == ("completed", "postcopy")
    assert trace["start_postcopy"] == "not_converging"
    assert lab.home_of(guest) == lab.hosts[1]

    view, trace = _ended(lab, guest, "--profile", "offline-ok")
    assert (view["state"], trace["suspend"]) == ("completed", "not_converging")
    assert view["downtime_ms"] > 500
    assert lab.home_of(guest) == lab.hosts[0]

    events = lab.migrator("migration", "events", view["id"], "-f", "json").json
    decided = next(each for each in events if "decided by monitor (not_converging)" in each["text"])
    assert decided["facts"]["facts"]["expected_downtime_ms"] > 500
    beats = lab.beats(guest)
    assert len(beats) > 5

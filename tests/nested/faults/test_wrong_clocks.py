"""One process's wall clock is an hour wrong: guests move, and the record's times make sense."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.nested.faults.matrix import leader
from tests.nested.lab import SLOWLY, Document, Lab, await_
from tests.nested.verify import verify

pytestmark = [pytest.mark.nested, pytest.mark.broker]

HOUR_S = 3600
SOON = timedelta(minutes=5)
"""No migration here takes longer, on however busy a machine."""


@contextmanager
def wrong(lab: Lab, kind: str, name: str, seconds: int) -> Iterator[None]:
    """The clock of one process."""
    lab.tool("skew", kind, name, str(seconds))
    try:
        await_(
            lambda: abs(off_by(lab, kind, name) - timedelta(seconds=seconds)) < SOON,
            f"{kind} {name} starts with another clock",
        )
        yield
    finally:
        lab.tool("skew", kind, name, "0")


def off_by(lab: Lab, kind: str, name: str) -> timedelta:
    """How far ahead of this machine's its clock was when it last wrote to its log."""
    log = Path(lab.endpoint.removeprefix("unix://")).with_name("log") / f"{kind}-{name}.log"
    stamps = re.findall(r"^(\d{4}-\S+ [\d:]{8})\.", log.read_text(), re.MULTILINE)
    return datetime.fromisoformat(stamps[-1]).astimezone(UTC) - datetime.now(UTC)


def makes_sense(view: Document, began: datetime) -> None:
    """In this order, and about now."""
    stations = [view[name] for name in ("created_at", "switched_at", "finished_at")]
    times = [began, *map(datetime.fromisoformat, stations)]
    assert all(earlier <= later for earlier, later in pairwise(times)), times
    assert times[-1] - began < SOON, times
    assert 0 < view["total_ms"] < SOON.total_seconds() * 1000
    assert 0 <= (view["downtime_ms"] or 0) < view["total_ms"]


@pytest.mark.parametrize("seconds", [HOUR_S, -HOUR_S])
def test_guests_come_and_go_where_the_agents_clock_is_wrong(
    broker_lab: Lab, broker_roamer: str, seconds: int
) -> None:
    lab, home = broker_lab, broker_lab.home_of(broker_roamer)
    away = lab.other(home)
    with wrong(lab, "agent", home.name, seconds):
        assert all(each["alive"] for each in lab.api("v1", "hosts")["hosts"])
        for host, *options in (
            (away,),
            (home,),
            (away, "--kind", "cold"),
            (home, "--kind", "cold"),
        ):
            began = datetime.now(UTC)
            makes_sense(lab.move(broker_roamer, host, *options), began)
            assert lab.home_of(broker_roamer) == host
        verify(lab)


@pytest.mark.parametrize("seconds", [HOUR_S, -HOUR_S])
def test_conductors_of_different_times_take_over_from_each_other(
    broker_lab: Lab, broker_roamer: str, seconds: int
) -> None:
    lab, source = broker_lab, broker_lab.home_of(broker_roamer)
    destination = lab.other(source)
    with wrong(lab, "conductor", "c1", seconds):
        began = datetime.now(UTC)
        moving = lab.migrate(broker_roamer, destination, *SLOWLY)
        moving.until_memory_flows()
        frozen = leader(moving)
        lab.tool("stop", "conductor", frozen)
        try:
            moving.until(lambda _: leader(moving) != frozen)
            lab.migrator("migration", "tune", moving.id, "--bandwidth", "0")
            ended = moving.until_ended()
        finally:
            lab.tool("cont", "conductor", frozen)
        assert ended["state"] == "completed", moving.story()
        makes_sense(ended, began)
        verify(lab)

"""What is expected of a move."""

from __future__ import annotations

from dataclasses import replace

import pytest

from migrator.conductor.forecast import MIB, Expected, forecast, link_of
from migrator.model import (
    BALANCED,
    GUARANTEED,
    OFFLINE_OK,
    STRICT,
    DirtyRate,
    Means,
    Profile,
    Span,
    Statistics,
)
from tests.unit.examples import a_migration

GIB = 1024 * MIB
LINK = Span(100.0 * MIB, 110.0 * MIB)
ALL = frozenset(Means)


def expected(dirty_mib_s: float | None, link: Span | None = LINK) -> Expected:
    dirty = None if dirty_mib_s is None else DirtyRate(1.0, int(dirty_mib_s * MIB))
    return Expected(GIB, link, dirty)


def test_a_calm_guest_takes_about_one_pass() -> None:
    told = forecast(expected(1.0), STRICT, ALL)
    assert told.method == "precopy"
    assert told.duration_s is not None
    assert told.downtime_ms is not None
    assert 9 < told.duration_s.least < told.duration_s.most < 16
    assert told.downtime_ms.most <= 600


@pytest.mark.parametrize(
    ("profile", "possible", "method"),
    [
        (STRICT, ALL, "none"),
        (BALANCED, ALL, "precopy"),
        (GUARANTEED, ALL, "postcopy"),
        (GUARANTEED, ALL - {Means.POSTCOPY}, "pause"),
        (OFFLINE_OK, ALL, "pause"),
    ],
)
def test_a_guest_that_outruns_the_link_ends_as_its_profile_permits(
    profile: Profile, possible: frozenset[Means], method: str
) -> None:
    told = forecast(expected(400.0), profile, possible)
    assert told.method == method
    assert told.dirty_mib_s == 400.0
    assert told.duration_s is not None
    assert told.duration_s.least >= 9


def test_a_pause_is_told_with_how_long_it_would_take() -> None:
    told = forecast(expected(400.0), OFFLINE_OK, ALL)
    assert told.downtime_ms is not None
    assert told.downtime_ms.most > 2000


def test_without_measurements_nothing_is_pretended() -> None:
    told = forecast(expected(None, None), STRICT, ALL)
    assert (told.duration_s, told.downtime_ms, told.bandwidth_mib_s) == (None, None, None)
    half = forecast(expected(None), STRICT, ALL)
    assert half.duration_s is not None
    assert half.downtime_ms is None


def test_the_pairs_bandwidth_is_what_earlier_moves_reached_within_the_limit() -> None:
    moves = [
        replace(
            a_migration(),
            statistics=Statistics(total_ms=total, setup_ms=0, memory_processed=sent * MIB),
        )
        for total, sent in [(10_000, 1000), (10_000, 2000), (100, 1), (0, 500)]
    ]
    assert link_of(moves, None) == Span(100.0 * MIB, 200.0 * MIB)
    assert link_of(moves, 150) == Span(100.0 * MIB, 150.0 * MIB)
    assert link_of([a_migration()], None) is None


def test_disks_are_copied_first_and_may_take_as_long_as_they_are_large() -> None:
    alone = forecast(expected(1.0), STRICT, ALL)
    told = forecast(replace(expected(1.0), disks=2 * GIB), STRICT, ALL)
    assert alone.duration_s is not None
    assert told.duration_s is not None
    assert told.duration_s.least == alone.duration_s.least, "they may be sparse"
    assert told.duration_s.most == pytest.approx(alone.duration_s.most + 20.48, abs=0.1)
    assert told.based_on.endswith("2048 MiB of disks")
    unknown = forecast(replace(expected(None, None), disks=GIB), STRICT, ALL)
    assert unknown.duration_s is None


def test_a_guest_that_is_slowed_down_takes_as_many_passes_as_that_needs() -> None:
    busy = expected(150.0)
    slowed = forecast(busy, BALANCED, ALL)
    assert slowed.method == "precopy"
    assert slowed.downtime_ms is not None
    assert slowed.downtime_ms.most <= BALANCED.max_downtime_ms + 100
    calm = forecast(expected(1.0), BALANCED, ALL)
    assert slowed.duration_s is not None
    assert calm.duration_s is not None
    assert slowed.duration_s.least > 1.5 * calm.duration_s.least

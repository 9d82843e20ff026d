"""Who may start now: limits, order, and who holds up whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.conductor.queue import Limits, Place, in_turn, line_up
from migrator.model import BALANCED, Migration
from migrator.states import MigrationState
from tests.unit.examples import a_migration

HOSTS = ("h1", "h2", "h3")
WIDE = Limits(fleet=100, outgoing=100, incoming=100)


def waiting(source: str, to: str | None = None, name: str = "m") -> Migration:
    return a_migration(id=name, source=source, requested_host=to)


def under_way(source: str, to: str | None = None, asked: str | None = None) -> Migration:
    state = MigrationState.RUNNING if to else MigrationState.SCHEDULING
    return a_migration(state=state, source=source, destination=to, requested_host=asked)


def started(places: Sequence[Place]) -> list[Migration]:
    return [place.migration for place in places if place.limit is None]


@pytest.mark.parametrize(
    ("limits", "busy", "queued", "held"),
    [
        (WIDE, [], [waiting("h1")], [None]),
        (
            Limits(2, 9, 9),
            [under_way("h1", "h2")] * 2,
            [waiting("h3")],
            ["fleet: 2 of 2 under way"],
        ),
        (Limits(9, 1, 9), [under_way("h1", "h2")], [waiting("h1")], ["leaving h1: 1 of 1"]),
        (
            Limits(9, 9, 1),
            [under_way("h1", "h2")],
            [waiting("h3", "h2")],
            ["arriving at h2: 1 of 1"],
        ),
        # where nobody named a destination, arrivals are the placement's business
        (Limits(9, 9, 1), [under_way("h1", "h2")], [waiting("h3")], [None]),
        # a named destination counts from the start, not only once it is claimed
        (
            Limits(9, 9, 1),
            [under_way("h1", None, asked="h2")],
            [waiting("h3", "h2")],
            ["arriving at h2: 1 of 1"],
        ),
        # one that may start now counts for those behind it
        (
            Limits(1, 9, 9),
            [],
            [waiting("h1"), waiting("h2")],
            [None, "fleet: 1 of 1 under way"],
        ),
        # the head waits for its source; who leaves another one goes past it
        (
            Limits(9, 1, 9),
            [under_way("h1", "h2")],
            [waiting("h1"), waiting("h1"), waiting("h2"), waiting("h3")],
            ["leaving h1: 1 of 1", "leaving h1: 1 of 1", None, None],
        ),
        # ... and so does who arrives elsewhere
        (
            Limits(9, 9, 1),
            [under_way("h1", "h2")],
            [waiting("h1", "h2"), waiting("h1", "h3")],
            ["arriving at h2: 1 of 1", None],
        ),
    ],
)
def test_each_waits_for_the_limit_it_is_told(
    limits: Limits, busy: list[Migration], queued: list[Migration], held: list[str | None]
) -> None:
    assert [place.limit for place in line_up(queued, busy, limits)] == held


def capped(mib_s: int | None, source: str = "h1", to: str | None = None) -> Migration:
    return a_migration(source=source, requested_host=to, bandwidth_mib_s=mib_s)


@pytest.mark.parametrize(
    ("busy", "queued", "held"),
    [
        ([capped(60)], [capped(40)], [None]),
        ([capped(60)], [capped(41)], ["link of h1: 60 of 100 MiB/s planned, 41 more wanted"]),
        # without a cap of its own it takes what it gets
        ([capped(1)], [capped(None)], ["link of h1: 1 of 100 MiB/s planned, 100 more wanted"]),
        ([capped(None)], [capped(1)], ["link of h1: 100 of 100 MiB/s planned, 1 more wanted"]),
        # more than the link has may go, alone
        (
            [],
            [capped(500), capped(1)],
            [None, "link of h1: 500 of 100 MiB/s planned, 1 more wanted"],
        ),
        # links are full both ways, and the far end counts as well
        (
            [capped(60, "h3", "h1")],
            [capped(50)],
            ["link of h1: 60 of 100 MiB/s planned, 50 more wanted"],
        ),
        (
            [capped(30, "h2")],
            [capped(1, "h1", "h2")],
            ["link of h2: 30 of 30 MiB/s planned, 1 more wanted"],
        ),
        # of a link that nobody has described nothing is planned
        ([capped(None, "h9")], [capped(None, "h9")], [None]),
    ],
)
def test_links_are_planned_for_no_more_than_they_have(
    busy: list[Migration], queued: list[Migration], held: list[str | None]
) -> None:
    limits = Limits(100, 100, 100, links_mib_s={"h1": 100, "h2": 30})
    assert [place.limit for place in line_up(queued, busy, limits)] == held


def test_the_cap_of_a_profile_is_planned_for_where_the_request_names_none() -> None:
    limits = Limits(100, 100, 100, link_mib_s=100)
    profiled = replace(capped(None), profile=replace(BALANCED, bandwidth_mib_s=40))
    assert [place.limit for place in line_up([profiled], [capped(60)], limits)] == [None]
    (held,) = line_up([profiled], [capped(61)], limits)
    assert held.limit == "link of h1: 61 of 100 MiB/s planned, 40 more wanted"


def aged(name: str, source: str, priority: int = 0) -> Migration:
    """Names sort by age."""
    return a_migration(id=name, source=source, priority=priority)


@pytest.mark.parametrize(
    ("busy", "queued", "order"),
    [
        ([], [aged("1", "h1"), aged("2", "h1"), aged("3", "h2")], "132"),
        ([], [aged("1", "h1"), aged("2", "h2"), aged("3", "h1"), aged("4", "h1")], "1234"),
        # who has had turns waits for those who have not
        ([under_way("h1", "h2")], [aged("1", "h1"), aged("2", "h2"), aged("3", "h2")], "213"),
        # priority comes before turns
        ([], [aged("1", "h1"), aged("2", "h2"), aged("3", "h1", 5), aged("4", "h1", 5)], "3421"),
        ([], [aged("1", "h1", -1), aged("2", "h2")], "21"),
    ],
)
def test_sources_take_turns_within_a_priority(
    busy: list[Migration], queued: list[Migration], order: str
) -> None:
    assert "".join(each.id for each in in_turn(queued, busy)) == order


# ------------------------------------------------------------------ whatever the fleet looks like


@given(st.lists(st.tuples(st.sampled_from(HOSTS), st.integers(0, 1)), max_size=12))
def test_no_source_gets_two_turns_before_another_of_its_priority_gets_one(
    wanted: list[tuple[str, int]],
) -> None:
    queued = [aged(f"{number:02}", *each) for number, each in enumerate(wanted)]
    left = Counter((each.priority, each.source) for each in queued)
    had = Counter[str | None]()
    for migration in in_turn(queued, []):
        waiting_too = {
            source for (priority, source), n in left.items() if n and priority == migration.priority
        }
        assert all(had[migration.source] <= had[source] for source in waiting_too)
        had[migration.source] += 1
        left[(migration.priority, migration.source)] -= 1


sources = st.sampled_from(HOSTS)
targets = st.none() | st.sampled_from(HOSTS)
lines = st.lists(st.builds(waiting, sources, targets), max_size=12)
fleets = st.lists(st.builds(under_way, sources, targets, targets), max_size=6)
limits_ = st.builds(Limits, st.integers(0, 8), st.integers(0, 4), st.integers(0, 4))


def goal(migration: Migration) -> str | None:
    return migration.destination or migration.requested_host


@given(lines, fleets, limits_)
def test_limits_are_never_exceeded_by_what_is_started(
    queued: list[Migration], busy: list[Migration], limits: Limits
) -> None:
    new = started(line_up(queued, busy, limits))
    every = [*busy, *new]
    if new:
        assert len(every) <= limits.fleet
    leaving = Counter(migration.source for migration in every)
    arriving = Counter(map(goal, every))
    for migration in new:
        assert leaving[migration.source] <= limits.outgoing
        if migration.requested_host is not None:
            assert arriving[migration.requested_host] <= limits.incoming


@given(lines, fleets, limits_)
def test_nobody_waits_without_a_limit_that_is_used_up(
    queued: list[Migration], busy: list[Migration], limits: Limits
) -> None:
    ahead = list(busy)
    for place in line_up(queued, busy, limits):
        if place.limit is None:
            ahead.append(place.migration)
            continue
        source, target = place.migration.source, place.migration.requested_host
        assert (
            len(ahead) >= limits.fleet
            or sum(migration.source == source for migration in ahead) >= limits.outgoing
            or (
                target is not None
                and sum(goal(migration) == target for migration in ahead) >= limits.incoming
            )
        )


@given(lines, fleets, limits_)
def test_the_line_keeps_its_order_and_counts_from_one(
    queued: list[Migration], busy: list[Migration], limits: Limits
) -> None:
    places = line_up(queued, busy, limits)
    assert [place.migration for place in places] == queued
    assert [place.position for place in places] == list(range(1, len(queued) + 1))


@given(lines, fleets, limits_, st.integers(0, 12))
def test_those_behind_change_nothing_for_those_ahead(
    queued: list[Migration], busy: list[Migration], limits: Limits, cut: int
) -> None:
    assert line_up(queued[:cut], busy, limits) == line_up(queued, busy, limits)[:cut]


@given(lines, fleets, limits_)
def test_who_is_held_holds_up_nobody(
    queued: list[Migration], busy: list[Migration], limits: Limits
) -> None:
    new = started(line_up(queued, busy, limits))
    assert started(line_up(new, busy, limits)) == new


@given(lines, fleets, limits_, sources)
def test_of_two_that_want_the_same_the_one_ahead_starts_first(
    queued: list[Migration], busy: list[Migration], limits: Limits, source: str
) -> None:
    alike = [
        place.limit is None
        for place in line_up(queued, busy, limits)
        if place.migration.source == source and place.migration.requested_host is None
    ]
    assert alike == sorted(alike, reverse=True)

"""What would hang for ever is noticed; what merely takes its time is left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from migrator.compute_agent.monitor.decide import Reading
from migrator.compute_agent.monitor.watchdog import (
    NOTHING_MOVES_S,
    PAGES_STOPPED_S,
    Flow,
    follow,
    nothing_moves,
    pages_stopped,
    pause_of,
    paused_by_hand,
)
from migrator.model import JobSample

MIB = 1 << 20
JOB = JobSample(
    "migration_out",
    memory_total=256 * MIB,
    memory_remaining=100 * MIB,
    memory_processed=156 * MIB,
    memory_bandwidth=10 * MIB,
    memory_iteration=1,
)


def watched(*readings: Reading) -> Flow:
    flow = Flow()
    for reading in readings:
        flow = follow(flow, reading)
    return flow


def test_a_copy_without_a_byte_for_long_is_given_up() -> None:
    late = Reading(NOTHING_MOVES_S, JOB)
    assert nothing_moves(watched(Reading(0.0, JOB), late), late)


@pytest.mark.parametrize(
    "change",
    [
        {"memory_remaining": 99 * MIB},
        {"memory_processed": 1},
        {"disk_processed": 1},
        {"memory_iteration": 2},
    ],
)
def test_anything_that_moves_counts(change: dict[str, int]) -> None:
    moved = Reading(NOTHING_MOVES_S, replace(JOB, **change))
    assert not nothing_moves(watched(Reading(0.0, JOB), moved), moved)


def test_before_anything_has_begun_nothing_is_late() -> None:
    empty = JobSample("migration_out")
    late = Reading(1000.0, empty)
    assert not nothing_moves(watched(Reading(0.0, empty), late), late)


def test_a_guest_that_is_paused_for_its_switch_is_not_given_up() -> None:
    late = Reading(NOTHING_MOVES_S, JOB, paused=True)
    assert not nothing_moves(watched(Reading(0.0, JOB), late), late)


def test_a_post_copy_without_a_page_for_some_time_stands_still_until_one_comes() -> None:
    first = Reading(0.0, JOB, paused=True, postcopy=True)
    late = replace(first, at=PAGES_STOPPED_S)
    assert not pages_stopped(watched(first), first)
    assert pages_stopped(watched(first, late), late)
    assert pages_stopped(watched(first, late), replace(late, at=late.at + 1000.0))
    again = replace(late, job=replace(JOB, memory_remaining=JOB.memory_remaining - 4096))
    assert not pages_stopped(watched(first, late, again), again)
    assert not pages_stopped(watched(first, late), replace(late, job=None)), "it has ended"


@pytest.mark.parametrize(
    ("left", "later_s", "by_hand"),
    [(100 * MIB, 0.5, True), (100 * MIB, 0.1, False), (4 * MIB, 0.5, False), (0, 0.5, False)],
)
def test_a_pause_with_much_left_to_send_is_not_the_switch(
    left: int, later_s: float, by_hand: bool
) -> None:
    first = Reading(10.0, JOB, paused=True)
    later = Reading(10.0 + later_s, replace(JOB, memory_remaining=left), paused=True)
    assert paused_by_hand(pause_of(first, 300), later) is by_hand


@pytest.mark.parametrize("total", [0, JOB.memory_total], ids=["not begun", "nothing sent"])
def test_a_pause_before_anything_was_sent_is_not_the_switch(total: int) -> None:
    unsent = replace(
        JOB, memory_total=total, memory_remaining=total, memory_processed=0, memory_bandwidth=0
    )
    first, later = Reading(0.0, unsent, paused=True), Reading(9.0, unsent, paused=True)
    assert paused_by_hand(pause_of(first, 300), later)


def test_in_doubt_a_pause_is_the_switch() -> None:
    unknown = replace(JOB, memory_bandwidth=0)
    first, later = Reading(0.0, unknown, paused=True), Reading(9.0, unknown, paused=True)
    assert not paused_by_hand(pause_of(first, 300), later)
    assert not paused_by_hand(pause_of(first, 300), replace(later, job=None))

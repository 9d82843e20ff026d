"""Who is woken by what, and when a transfer counts as silent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from migrator.conductor.mailroom import Mailroom, Wake
from migrator.conductor.ports import RecordMark
from migrator.model import Phase, Progress
from migrator.ports import Inbox
from migrator.threads import Threads


@dataclass
class StandingClock:
    """Moves when it is told to."""

    at: float = 100.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def mail(clock: StandingClock) -> Mailroom:
    return Mailroom(Threads(), clock)


def woken(inbox: Inbox[object]) -> int:
    count = 0
    while isinstance(inbox.get(0.0), Wake):
        count += 1
    return count


def test_a_leader_is_woken_once_for_each_change_of_its_record(mail: Mailroom) -> None:
    inbox = mail.open("m1", "g1")
    marks = [
        [RecordMark("m1", 1, 4)],
        [RecordMark("m1", 1, 4)],
        [RecordMark("m1", 1, 5)],
        [RecordMark("m1", 2, 5)],
        [RecordMark("m1", 2, 5)],
    ]
    counts = []
    for each in marks:
        mail.compare(each)
        counts.append(woken(inbox))
    assert counts == [1, 0, 1, 1, 0]


def test_a_leader_that_was_replaced_is_woken_until_it_leaves(mail: Mailroom) -> None:
    inbox, other = mail.open("m1", "g1"), mail.open("m2", "g2")
    mail.compare([RecordMark("m1", 1, 4), RecordMark("m2", 1, 4)])
    assert (woken(inbox), woken(other)) == (1, 1)
    for _ in range(2):
        mail.compare([RecordMark("m2", 1, 4)])
        assert (woken(inbox), woken(other)) == (1, 0)


def test_silence_is_five_reports_that_did_not_come_however_far_apart_they_are(
    mail: Mailroom, clock: StandingClock
) -> None:
    assert mail.is_silent("m1")
    for every_s in (1.0, 5.0):
        mail.report_progress("m1", Progress(Phase.MEMORY), every_s)
        clock.sleep(4.9 * every_s)
        assert not mail.is_silent("m1")
        clock.sleep(0.2 * every_s)
        assert mail.is_silent("m1")


def test_a_phase_keeps_what_was_reported_and_how_often_that_is(
    mail: Mailroom, clock: StandingClock
) -> None:
    mail.report_progress("m1", Progress(Phase.MEMORY, memory_total=7), 5.0)
    mail.report_phase("m1", Phase.SWITCHOVER)
    assert mail.progress("m1") == Progress(Phase.SWITCHOVER, memory_total=7)
    clock.sleep(24.0)
    assert not mail.is_silent("m1")


def test_an_event_of_a_guest_wakes_who_leads_its_migration_and_nobody_once_that_is_over(
    mail: Mailroom,
) -> None:
    first, second, other = mail.open("m1", "g1"), mail.open("m2", "g1"), mail.open("m3", "g2")
    assert mail.deliver_by_instance("g1", "event")
    assert [first.get(0.0), second.get(0.0), other.get(0.0)] == ["event", "event", None]
    mail.close("m1", first)
    assert mail.deliver_by_instance("g1", "event")
    assert [first.get(0.0), second.get(0.0)] == [None, "event"]
    mail.close("m2", second)
    assert not mail.deliver_by_instance("g1", "event")
    assert mail.deliver_by_instance("g2", "event")

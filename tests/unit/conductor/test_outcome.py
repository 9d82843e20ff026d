"""The outcome table, row by row, against what real hosts showed."""

from __future__ import annotations

import itertools

import pytest

from migrator.conductor.outcome import Verdict, judge, side_of_destination, side_of_source
from tests.unit.conductor.domain_views import JOB, every_view, read

W, F, R = Verdict.WAIT, Verdict.FORWARD, Verdict.ROLL_BACK
S, D, B = Verdict.STOP_AND_ROLL_BACK, Verdict.GUEST_DIED, Verdict.SPLIT_BRAIN
P, PP, U, L = Verdict.POSTCOPY, Verdict.POSTCOPY_PAUSED, Verdict.UNDECIDABLE, Verdict.LOST

SEEN: list[tuple[str, str, Verdict, Verdict]] = [
    # source, destination, verdict while the call or a job goes on, verdict when neither does
    #
    # pre-copy: copying, then nothing else but a guest that stayed
    ("running(booted)", "absent", W, R),
    ("running(booted)", "paused(starting_up)", W, S),
    ("running(booted)", "paused(migration)", W, S),
    ("running(unpaused)", "paused(migration)", W, S),
    # moved here before; its client killed: libvirt goes on, and the job is what shows it
    ("running(migrated)", "paused(migration)", W, S),
    # a libvirtd or the destination's QEMU is killed in pre-copy; the pool is full; an abort
    ("running(migrated)", "absent", W, R),
    ("running(user)", "absent", W, R),
    ("running(booted)", "shutoff(unknown)", W, R),
    # the source's libvirtd gave up and the destination has not noticed yet
    ("running(booted)", "paused(unknown)", W, S),
    # the destination does not answer us either; the source was never paused for a switch
    ("running(booted)", "?", W, R),
    # the switch; when nobody carries it on, the source's libvirtd restarted in the midst of it
    ("paused(migration)", "paused(migration)", W, U),
    ("paused(migration)", "absent", W, U),
    ("paused(migration)", "?", W, U),
    ("paused(migration)", "running(migrated)", F, F),
    ("paused(migration)", "running(unpaused)", F, F),
    ("absent", "running(migrated)", F, F),
    ("shutoff(migrated)", "running(migrated)", F, F),
    ("absent", "running(unpaused)", F, F),
    ("shutoff(migrated)", "running(unpaused)", F, F),
    # read in two moments: the source before its switch, the destination after it
    ("running(booted)", "running(migrated)", F, B),
    # the destination's replies to the source are lost: after 25 s libvirt resumes the source
    ("running(migration_canceled)", "running(migrated)", B, B),
    ("running(unpaused)", "running(migrated)", F, B),
    # the same before the destination began: the source runs again, and only it
    ("running(migration_canceled)", "absent", W, R),
    ("running(migration_canceled)", "paused(migration)", W, S),
    # the source was paused for a switch, so a silent destination may have the guest
    ("running(migration_canceled)", "?", W, U),
    # a guest paused by its user before the move, or while it was copied
    ("paused(user)", "paused(migration)", W, S),
    ("paused(user)", "paused(user)", F, F),
    ("paused(user)", "running(migrated)", F, F),
    ("paused(user)", "running(unpaused)", F, F),
    ("absent", "paused(user)", F, F),
    ("paused(migration)", "paused(ioerror)", F, F),
    ("shutoff(user)", "paused(user)", F, F),
    ("paused(ioerror)", "absent", W, R),
    ("paused(ioerror)", "paused(migration)", W, S),
    ("paused(user)", "?", W, U),
    # the guest powered itself off, was destroyed, or its QEMU was killed while it was copied
    ("absent", "absent", W, D),
    ("shutoff(crashed)", "absent", W, D),
    ("shutoff(user)", "absent", W, D),
    # its memory may be complete over there; libvirt starts it or removes it within seconds
    ("absent", "paused(migration)", W, U),
    ("shutoff(user)", "paused(migration)", W, U),
    # it moved and was shut off over there before we looked: libvirt defines it there at the end only
    ("absent", "shutoff(user)", F, F),
    ("absent", "shutoff(crashed)", F, F),
    ("shutoff(user)", "shutoff(user)", W, U),
    ("shutoff(migrated)", "shutoff(user)", W, U),
    ("running(migration_canceled)", "shutoff(user)", W, U),
    ("paused(migration)", "shutoff(user)", W, U),
    ("paused(user)", "shutoff(user)", W, U),
    # somebody started it over there by hand
    ("absent", "running(booted)", F, F),
    ("shutoff(user)", "running(booted)", U, U),
    ("paused(migration)", "running(booted)", U, U),
    ("paused(user)", "running(booted)", U, U),
    ("running(booted)", "running(booted)", U, U),
    ("?", "running(booted)", U, U),
    # the source's host is away
    ("?", "running(migrated)", F, F),
    ("?", "running(unpaused)", U, U),
    ("?", "paused(migration)", U, U),
    ("?", "paused(user)", U, U),
    ("?", "absent", U, U),
    ("?", "shutoff(user)", U, U),
    ("?", "?", U, U),
    ("absent", "?", W, U),
    ("shutoff(user)", "?", W, U),
    # post-copy: pages flow; the link is cut; a libvirtd or the source's QEMU is gone
    ("paused(postcopy)", "running(postcopy)", P, P),
    ("paused(migration)", "running(postcopy)", P, P),
    ("paused(postcopy)", "paused(postcopy)", P, P),
    ("paused(postcopy)", "running(migrated)", F, F),
    # paused, or paused and resumed, over there by its user: its pages still come
    ("paused(postcopy)", "running(unpaused)", P, P),
    ("paused(postcopy)", "paused(user)", P, P),
    # read in two moments: the source before the switch
    ("running(booted)", "running(postcopy)", P, U),
    ("paused(user)", "running(postcopy)", P, U),
    # the destination's QEMU was killed
    ("paused(postcopy)", "shutoff(other)", L, L),
    ("paused(postcopy)", "absent", L, L),
    ("paused(postcopy_failed)", "shutoff(other)", L, L),
    ("paused(postcopy_failed)", "absent", L, L),
    ("paused(postcopy)", "?", P, P),
    ("?", "running(postcopy)", P, P),
    ("paused(postcopy)", "running(postcopy_failed)", PP, PP),
    ("paused(migration)", "running(postcopy_failed)", PP, PP),
    ("paused(postcopy_failed)", "running(postcopy_failed)", PP, PP),
    ("paused(postcopy_failed)", "paused(postcopy_failed)", PP, PP),
    # the destination's libvirtd was killed: the source says "failed" although pages still flow
    ("paused(postcopy_failed)", "running(postcopy)", P, P),
    ("paused(postcopy_failed)", "running(migrated)", F, F),
    ("paused(postcopy_failed)", "running(unpaused)", P, P),
    ("paused(postcopy_failed)", "paused(user)", P, P),
    ("paused(postcopy_failed)", "?", PP, PP),
    ("?", "running(postcopy_failed)", PP, PP),
    # the source's QEMU was killed: what runs over there waits for its pages for ever
    ("absent", "running(postcopy_failed)", L, L),
    ("absent", "running(postcopy)", PP, PP),
    ("shutoff(crashed)", "running(postcopy_failed)", L, L),
    ("shutoff(crashed)", "running(postcopy)", PP, PP),
]


@pytest.mark.parametrize(("source", "destination", "under_way", "ended"), SEEN)
def test_what_both_hosts_show_has_the_verdict_of_the_table(
    source: str, destination: str, under_way: Verdict, ended: Verdict
) -> None:
    there = read(destination)
    assert judge(read(source), there, call_returned=False).verdict is under_way
    assert judge(read(source), there, call_returned=True).verdict is ended


@pytest.mark.parametrize(
    ("source", "destination", "under_way"), [row[:3] for row in SEEN if row[0] != "?"]
)
def test_a_job_that_shows_on_the_source_is_under_way_whoever_has_returned(
    source: str, destination: str, under_way: Verdict
) -> None:
    for returned in (False, True):
        assert judge(read(source, JOB), read(destination), returned).verdict is under_way


def test_lost_replies_of_the_destination_are_two_that_run() -> None:
    source, destination = read("running(migration_canceled)"), read("running(migrated)")
    for returned in (False, True):
        assert judge(source, destination, returned).verdict is Verdict.SPLIT_BRAIN


def test_a_pair_nobody_has_seen_leads_to_no_action() -> None:
    seen = {(side_of_source(read(row[0])), side_of_destination(read(row[1]))) for row in SEEN}
    for source, destination in itertools.product(every_view(None), every_view(None)):
        if (side_of_source(source), side_of_destination(destination)) not in seen:
            for returned in (False, True):
                judgement = judge(source, destination, returned)
                assert judgement.verdict is Verdict.UNDECIDABLE, (source, destination)

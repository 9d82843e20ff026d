"""The outcome table, against what real hosts showed and what must never follow from it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest

from migrator.conductor.outcome import (
    Judgement,
    Side,
    Verdict,
    judge,
    side_of_destination,
    side_of_source,
)
from migrator.model import ACTIVE_STATES, DomainState, DomainView, JobSample, Reason

W, F, R = Verdict.WAIT, Verdict.FORWARD, Verdict.ROLL_BACK
S, D, B = Verdict.STOP_AND_ROLL_BACK, Verdict.GUEST_DIED, Verdict.SPLIT_BRAIN
P, PP, U = Verdict.POSTCOPY, Verdict.POSTCOPY_PAUSED, Verdict.UNDECIDABLE

JOB = JobSample("migration_out")

SEEN: list[tuple[str, str, str, Verdict]] = [
    # source, destination, call: runs | returned | returned, a job shows, verdict
    #
    # pre-copy: copying, then nothing else but a guest that stayed
    ("running(booted)", "absent", "runs", W),
    ("running(booted)", "paused(starting_up)", "runs", W),
    ("running(booted)", "paused(migration)", "runs", W),
    ("running(unpaused)", "paused(migration)", "runs", W),
    ("running(booted)", "paused(migration)", "returned, a job shows", W),
    ("running(booted)", "?", "runs", W),
    # the client that called is killed: libvirt goes on; the job is what shows it
    ("running(migrated)", "paused(migration)", "returned, a job shows", W),
    # a libvirtd, or the destination's QEMU, is killed in pre-copy; the pool is full; an abort
    ("running(booted)", "absent", "returned", R),
    ("running(migrated)", "absent", "returned", R),
    ("running(user)", "absent", "returned", R),
    ("running(booted)", "shutoff(unknown)", "returned", R),
    # the source's libvirtd gave up and the destination has not noticed yet
    ("running(booted)", "paused(migration)", "returned", S),
    ("running(booted)", "paused(unknown)", "returned", S),
    # the network between conductor and destination is gone too; the source was never paused
    ("running(booted)", "?", "returned", R),
    # the switch
    ("paused(migration)", "paused(migration)", "runs", W),
    ("paused(migration)", "absent", "runs", W),
    ("paused(migration)", "?", "runs", W),
    ("paused(migration)", "running(migrated)", "runs", F),
    ("paused(migration)", "running(migrated)", "returned", F),
    ("paused(migration)", "running(unpaused)", "runs", F),
    ("absent", "running(migrated)", "runs", F),
    ("absent", "running(migrated)", "returned", F),
    ("shutoff(migrated)", "running(migrated)", "returned", F),
    ("absent", "running(unpaused)", "returned", F),
    ("shutoff(migrated)", "running(unpaused)", "returned", F),
    # read in two moments: the source before its switch, the destination after it
    ("running(booted)", "running(migrated)", "runs", F),
    ("running(booted)", "running(migrated)", "returned, a job shows", F),
    # the destination's replies to the source are lost: after 25 s libvirt resumes the source
    ("running(migration_canceled)", "running(migrated)", "runs", B),
    ("running(migration_canceled)", "running(migrated)", "returned", B),
    ("running(migration_canceled)", "running(migrated)", "returned, a job shows", B),
    ("running(unpaused)", "running(migrated)", "returned", B),
    # the same before the destination began: the source runs again, and only it
    ("running(migration_canceled)", "absent", "returned", R),
    ("running(migration_canceled)", "paused(migration)", "returned", S),
    ("running(migration_canceled)", "absent", "runs", W),
    # the source was paused for a switch, so a silent destination may have the guest
    ("running(migration_canceled)", "?", "returned", U),
    ("running(migration_canceled)", "?", "runs", W),
    # the source's libvirtd restarted in the switch: it leaves the guest paused and knows no more
    ("paused(migration)", "absent", "returned", U),
    ("paused(migration)", "paused(migration)", "returned", U),
    ("paused(migration)", "?", "returned", U),
    # a guest paused by its user before the move, or while it was copied
    ("paused(user)", "paused(migration)", "runs", W),
    ("paused(user)", "paused(user)", "runs", F),
    ("paused(user)", "paused(user)", "returned", F),
    ("paused(user)", "running(migrated)", "runs", F),
    ("paused(user)", "running(unpaused)", "returned", F),
    ("absent", "paused(user)", "returned", F),
    ("paused(migration)", "paused(ioerror)", "returned", F),
    ("shutoff(user)", "paused(user)", "returned", F),
    ("paused(ioerror)", "absent", "returned", R),
    ("paused(ioerror)", "paused(migration)", "returned", S),
    ("paused(user)", "?", "returned", U),
    ("paused(user)", "?", "runs", W),
    # the guest powered itself off, was destroyed, or its QEMU was killed while it was copied
    ("absent", "absent", "runs", W),
    ("absent", "absent", "returned", D),
    ("shutoff(crashed)", "absent", "returned", D),
    ("shutoff(user)", "absent", "returned", D),
    ("shutoff(user)", "absent", "runs", W),
    # its memory may be complete over there; libvirt starts it or removes it within seconds
    ("absent", "paused(migration)", "returned", U),
    ("shutoff(user)", "paused(migration)", "returned", U),
    ("absent", "paused(migration)", "runs", W),
    # it moved and was shut off over there before we looked: libvirt defines it there at the end only
    ("absent", "shutoff(user)", "returned", F),
    ("absent", "shutoff(crashed)", "runs", F),
    ("shutoff(user)", "shutoff(user)", "returned", U),
    ("shutoff(migrated)", "shutoff(user)", "runs", W),
    ("running(migration_canceled)", "shutoff(user)", "returned", U),
    ("paused(migration)", "shutoff(user)", "returned", U),
    ("paused(user)", "shutoff(user)", "returned", U),
    # somebody started it over there by hand
    ("absent", "running(booted)", "returned", F),
    ("shutoff(user)", "running(booted)", "returned", U),
    ("paused(migration)", "running(booted)", "returned", U),
    ("paused(user)", "running(booted)", "runs", U),
    ("running(booted)", "running(booted)", "returned", U),
    # the source's host is away
    ("?", "running(migrated)", "runs", F),
    ("?", "running(migrated)", "returned", F),
    ("?", "running(unpaused)", "returned", U),
    ("?", "paused(migration)", "runs", U),
    ("?", "paused(user)", "returned", U),
    ("?", "absent", "runs", U),
    ("?", "absent", "returned", U),
    ("?", "shutoff(user)", "returned", U),
    ("?", "?", "runs", U),
    ("?", "?", "returned", U),
    ("absent", "?", "returned", U),
    ("absent", "?", "runs", W),
    ("shutoff(user)", "?", "returned", U),
    # post-copy: pages flow; the link is cut; a libvirtd or the source's QEMU is gone
    ("paused(postcopy)", "running(postcopy)", "runs", P),
    ("paused(postcopy)", "running(postcopy)", "returned", P),
    ("paused(migration)", "running(postcopy)", "runs", P),
    ("paused(postcopy)", "paused(postcopy)", "runs", P),
    ("paused(postcopy)", "running(migrated)", "runs", F),
    ("paused(postcopy)", "running(unpaused)", "runs", F),
    ("paused(postcopy)", "paused(user)", "runs", F),
    ("paused(postcopy)", "?", "runs", P),
    ("?", "running(postcopy)", "runs", P),
    ("paused(postcopy)", "running(postcopy_failed)", "runs", PP),
    ("paused(migration)", "running(postcopy_failed)", "runs", PP),
    ("paused(postcopy_failed)", "running(postcopy_failed)", "returned", PP),
    ("paused(postcopy_failed)", "paused(postcopy_failed)", "returned", PP),
    # the destination's libvirtd was killed: the source says "failed" although pages still flow
    ("paused(postcopy_failed)", "running(postcopy)", "returned", P),
    ("paused(postcopy_failed)", "running(migrated)", "returned", F),
    ("paused(postcopy_failed)", "running(unpaused)", "returned", F),
    ("paused(postcopy_failed)", "paused(user)", "returned", F),
    ("paused(postcopy_failed)", "?", "returned", PP),
    ("?", "running(postcopy_failed)", "returned", PP),
    ("absent", "running(postcopy_failed)", "returned", PP),
    ("absent", "running(postcopy)", "returned", PP),
    ("shutoff(crashed)", "running(postcopy_failed)", "returned", PP),
    ("shutoff(crashed)", "running(postcopy)", "returned", PP),
]


def read(text: str, job: JobSample | None = None) -> DomainView | None:
    """``paused(user)`` as a view; ``?`` is a host that does not answer."""
    if text == "?":
        return None
    found = re.fullmatch(r"(\w+)(?:\((\w+)\))?", text)
    assert found is not None
    return DomainView(DomainState(found[1]), Reason(found[2] or "unknown"), job=job)


@pytest.mark.parametrize(("source", "destination", "call", "verdict"), SEEN)
def test_what_both_hosts_show_has_the_verdict_of_the_table(
    source: str, destination: str, call: str, verdict: Verdict
) -> None:
    job = JOB if "job" in call else None
    assert judge(read(source, job), read(destination), call != "runs").verdict is verdict


# ------------------------------------------------- what holds for everything two hosts could show

Case = tuple[DomainView | None, DomainView | None, bool, Judgement]


def every_view(*jobs: JobSample | None) -> list[DomainView | None]:
    return [
        None,
        *(
            DomainView(state, reason, job=job)
            for state, reason, job in itertools.product(DomainState, Reason, jobs)
        ),
    ]


def every_case() -> Iterator[Case]:
    for source, destination, returned in itertools.product(
        every_view(None, JOB), every_view(None), (False, True)
    ):
        yield source, destination, returned, judge(source, destination, returned)


EVERY = tuple(every_case())
UNDOING = frozenset({R, S, D})
FOR_THE_SWITCH = frozenset({Reason.MIGRATION, Reason.POSTCOPY, Reason.POSTCOPY_FAILED})
NEVER_RAN = frozenset({Reason.MIGRATION, Reason.STARTING_UP, Reason.UNKNOWN})


def paused(view: DomainView | None) -> bool:
    return view is not None and view.state is DomainState.PAUSED


def runs(view: DomainView | None) -> bool:
    return view is not None and view.state in ACTIVE_STATES and not paused(view)


def cases_of(*verdicts: Verdict) -> Iterator[Case]:
    found = [case for case in EVERY if case[3].verdict in verdicts]
    assert found
    return iter(found)


def test_every_pair_of_states_and_reasons_has_a_verdict_and_a_reason() -> None:
    assert len(EVERY) == (9 * 14 * 2 + 1) * (9 * 14 + 1) * 2
    assert all(judgement.why for _, _, _, judgement in EVERY)


def test_a_pair_nobody_has_seen_leads_to_no_action() -> None:
    seen = {
        (side_of_source(read(source)), side_of_destination(read(destination)))
        for source, destination, _, _ in SEEN
    }
    for source, destination, _, judgement in EVERY:
        if (side_of_source(source), side_of_destination(destination)) not in seen:
            assert judgement.verdict is U, (source, destination)


def test_an_unknown_side_undoes_nothing_unless_the_source_was_never_paused_for_a_switch() -> None:
    for source, destination, _, judgement in EVERY:
        if source is not None and destination is not None:
            continue
        assert judgement.verdict not in {D, S, B}
        if judgement.verdict is R:
            assert source is not None
            assert runs(source)
            assert source.reason is not Reason.MIGRATION_CANCELED


def test_nothing_is_undone_while_the_guest_runs_on_the_destination() -> None:
    for _, destination, _, _ in cases_of(*UNDOING):
        assert not runs(destination)
        if paused(destination):
            assert destination is not None
            assert destination.reason in NEVER_RAN


def test_rolling_back_needs_a_source_that_has_the_guest_in_its_hands() -> None:
    for source, _, _, _ in cases_of(R, S):
        assert source is not None
        assert source.active
        assert not (paused(source) and source.reason in FOR_THE_SWITCH)


def test_a_guest_is_only_dead_when_both_hosts_answer_and_neither_has_any_of_it() -> None:
    for source, destination, _, _ in cases_of(D):
        assert source is not None
        assert destination is not None
        assert not source.active
        assert destination.state is DomainState.ABSENT


def test_nothing_is_undone_while_the_call_or_a_job_goes_on() -> None:
    for source, _, returned, judgement in EVERY:
        if not returned or (source is not None and source.job is not None):
            assert judgement.verdict not in UNDOING


def test_a_job_that_shows_counts_like_a_call_that_has_not_returned() -> None:
    for source, destination, returned, judgement in EVERY:
        if returned and source is not None and source.job is not None:
            assert judgement == judge(source, destination, False)


def test_going_forward_needs_a_destination_that_has_the_guest() -> None:
    for source, destination, _, _ in cases_of(F):
        assert destination is not None
        assert destination.state is not DomainState.ABSENT
        assert not (paused(destination) and destination.reason in NEVER_RAN)
        if not destination.active:
            assert source is not None
            assert source.state is DomainState.ABSENT


def test_a_source_that_runs_is_given_up_only_for_a_guest_that_a_migration_brought() -> None:
    for source, destination, _, _ in cases_of(F, B):
        if runs(source):
            assert destination is not None
            assert destination.reason is Reason.MIGRATED
            assert runs(destination)


def test_a_paused_source_is_not_given_up_for_a_guest_somebody_booted() -> None:
    for source, destination, _, _ in cases_of(F):
        if destination is not None and runs(destination) and destination.reason is Reason.BOOTED:
            assert source is not None
            assert source.state is DomainState.ABSENT


def test_two_running_are_told_from_one_that_moved() -> None:
    for source, destination, _, _ in cases_of(B):
        assert runs(source)
        assert runs(destination)


def test_post_copy_is_seen_on_a_host_that_says_so() -> None:
    words = {Reason.POSTCOPY, Reason.POSTCOPY_FAILED}
    for source, destination, _, _ in cases_of(P, PP):
        assert {view.reason for view in (source, destination) if view is not None} & words


def test_waiting_in_silence_ends_when_nothing_is_under_way_any_more() -> None:
    for source, _, returned, judgement in EVERY:
        if returned and (source is None or source.job is None):
            assert judgement.verdict is not W


def test_a_source_that_is_away_is_said_to_be() -> None:
    for source, destination, _, judgement in EVERY:
        if source is None and judgement.verdict not in {P, PP}:
            arrived = side_of_destination(destination) is Side.ARRIVED
            assert judgement.verdict is (F if arrived else U)

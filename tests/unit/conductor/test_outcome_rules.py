"""What must never follow, whatever two hosts show: every state with every reason on both sides."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from migrator.conductor.outcome import Judgement, Side, Verdict, judge, side_of_destination
from migrator.model import ACTIVE_STATES, DomainState, DomainView, Reason
from tests.unit.conductor.domain_views import JOB, every_view

W, F, R = Verdict.WAIT, Verdict.FORWARD, Verdict.ROLL_BACK
S, D, B = Verdict.STOP_AND_ROLL_BACK, Verdict.GUEST_DIED, Verdict.SPLIT_BRAIN
P, PP, U = Verdict.POSTCOPY, Verdict.POSTCOPY_PAUSED, Verdict.UNDECIDABLE

Case = tuple[DomainView | None, DomainView | None, bool, Judgement]


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

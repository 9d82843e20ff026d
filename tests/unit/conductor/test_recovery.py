"""What a new leader does with a migration, by its state alone."""

from __future__ import annotations

import pytest

from migrator.conductor.recovery import Resume, resume
from migrator.states import FLOW_STATES, PAST_NO_RETURN, TERMINAL, MigrationState

S = MigrationState

ANSWERS = {
    S.QUEUED: Resume.DISPATCH,
    S.SCHEDULING: Resume.CONTINUE,
    S.CLAIMED: Resume.CONTINUE,
    S.PREPARING: Resume.CONTINUE,
    S.RUNNING: Resume.CONTINUE,
    S.POSTCOPY: Resume.CONTINUE,
    S.POSTCOPY_PAUSED: Resume.CONTINUE,
    S.STOPPING: Resume.CONTINUE,
    S.COPYING: Resume.CONTINUE,
    S.SWITCHED: Resume.TODOS_ONLY,
    S.AWAITING_CONFIRM: Resume.TODOS_ONLY,
    S.REVERTING: Resume.TODOS_ONLY,
    S.ROLLING_BACK: Resume.UNDO,
    S.COMPLETED: Resume.NOTHING,
    S.REVERTED: Resume.NOTHING,
    S.REJECTED: Resume.NOTHING,
    S.CANCELLED: Resume.NOTHING,
    S.FAILED: Resume.NOTHING,
    S.LOST: Resume.NOTHING,
}


@pytest.mark.parametrize("state", MigrationState)
def test_each_state_is_taken_up_as_written(state: MigrationState) -> None:
    assert resume(state) is ANSWERS[state]


def test_nothing_past_the_point_of_no_return_is_undone() -> None:
    assert all(resume(state) is not Resume.UNDO for state in PAST_NO_RETURN)


def test_a_flow_is_loaded_exactly_where_one_is_active() -> None:
    loaded = {state for state in S if resume(state) in {Resume.CONTINUE, Resume.UNDO}}
    assert loaded == FLOW_STATES


def test_what_has_ended_is_left_alone() -> None:
    assert {state for state in S if resume(state) is Resume.NOTHING} == TERMINAL

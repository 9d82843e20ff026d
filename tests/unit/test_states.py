"""The table of states: every pair of states is either a row with a reason or refused."""

from __future__ import annotations

from itertools import product

import pytest

from migrator.errors import Refused
from migrator.states import (
    ABORTABLE,
    AFTER_TODOS,
    ENDED_BADLY,
    FLOW_STATES,
    NOT_LED,
    PAST_NO_RETURN,
    REVERTABLE,
    TERMINAL,
    TRANSITIONS,
    MigrationState,
    check_transition,
    diagram,
)

EVERY_STATE = frozenset(MigrationState)
S = MigrationState


def following(state: MigrationState) -> set[MigrationState]:
    return {new for old, new in TRANSITIONS if old is state}


def reachable(start: MigrationState) -> set[MigrationState]:
    found: set[MigrationState] = set()
    waiting = {start}
    while waiting:
        state = waiting.pop()
        found.add(state)
        waiting |= following(state) - found
    return found


@pytest.mark.parametrize(("old", "new"), [*product(MigrationState, repeat=2)])
def test_a_pair_is_a_row_of_the_table_or_refused(old: S, new: S) -> None:
    if (old, new) in TRANSITIONS:
        assert check_transition(old, new) == TRANSITIONS[(old, new)]
        return
    with pytest.raises(Refused) as refused:
        check_transition(old, new)
    assert refused.value.code == "state.illegal"
    assert refused.value.facts == {"state": str(old), "wanted": str(new)}


def test_every_row_says_why() -> None:
    for row, why in TRANSITIONS.items():
        assert why.strip(), row
        assert '"' not in why, f"{row}: the diagram quotes it"


def test_no_state_follows_itself() -> None:
    assert all(old is not new for old, new in TRANSITIONS)


def test_every_state_can_be_reached_and_every_migration_can_end() -> None:
    assert reachable(S.QUEUED) == EVERY_STATE
    for state in EVERY_STATE:
        assert reachable(state) & TERMINAL, state


def test_what_has_ended_never_changes_and_nothing_else_stands_still() -> None:
    assert {state for state in EVERY_STATE if not following(state)} == TERMINAL


def test_no_row_leads_back_over_the_point_of_no_return() -> None:
    for state in PAST_NO_RETURN:
        assert following(state) <= PAST_NO_RETURN, state


def test_the_source_keeps_the_guest_until_the_point_of_no_return() -> None:
    crossings = {
        row for row in TRANSITIONS if row[1] in PAST_NO_RETURN and row[0] not in PAST_NO_RETURN
    }
    assert crossings == {
        (S.RUNNING, S.POSTCOPY),
        (S.RUNNING, S.SWITCHED),
        (S.COPYING, S.SWITCHED),
        (S.ROLLING_BACK, S.SWITCHED),
    }


def test_an_abort_is_accepted_exactly_while_the_source_owns_an_unfinished_migration() -> None:
    assert EVERY_STATE - PAST_NO_RETURN - TERMINAL == ABORTABLE


def test_what_is_aborted_ends_cancelled_unless_it_had_switched() -> None:
    for state in ABORTABLE:
        assert S.CANCELLED in reachable(state), state


def test_a_flow_leads_from_scheduling_until_the_switch_or_the_end() -> None:
    after = {S.SWITCHED, S.AWAITING_CONFIRM, S.REVERTING}
    assert EVERY_STATE - NOT_LED - after == FLOW_STATES


def test_only_a_revert_that_an_operator_asks_for_leads_back_to_the_source() -> None:
    assert {old for old, new in TRANSITIONS if new is S.REVERTING} == REVERTABLE
    assert not reachable(S.REVERTING) & {S.COMPLETED, S.SWITCHED}


def test_what_becomes_of_a_migration_without_todos_is_a_row_of_the_table() -> None:
    assert set(AFTER_TODOS.items()) <= set(TRANSITIONS)


def test_the_facets_name_real_states() -> None:
    assert TERMINAL < NOT_LED
    assert {S.QUEUED} == NOT_LED - TERMINAL
    assert ENDED_BADLY < TERMINAL
    assert {S.COMPLETED, S.REJECTED} == TERMINAL - ENDED_BADLY


def test_the_diagram_shows_every_state_and_every_row() -> None:
    lines = diagram().splitlines()
    for (old, new), why in TRANSITIONS.items():
        assert f'  {old} -> {new} [tooltip="{why}"];' in lines
    assert sum("doublecircle" in line for line in lines) == len(TERMINAL)
    assert (lines[0], lines[-1]) == ("digraph migration {", "}")

"""What operators may still ask of a migration that is under way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from migrator.conductor.admission import Accept, AlreadySo
from migrator.conductor.steering import (
    judge_force,
    judge_rescue,
    judge_tune,
    parse_force,
    parse_tuning,
    standing,
)
from migrator.errors import Refused
from migrator.messages import ForceComplete, Tune
from migrator.model import (
    GUARANTEED,
    ActionRecord,
    ForceMethod,
    Kind,
    Migration,
    Mode,
    StandingAsks,
    Tuning,
)
from migrator.states import PAST_NO_RETURN, POSTCOPY_STATES, TERMINAL, MigrationState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOVING = Migration("m1", "g1", "web1", Kind.LIVE, Mode.AUTO, MigrationState.RUNNING, NOW, attempt=1)
AUTO = ForceMethod.AUTO


def in_state(state: MigrationState, **fields: object) -> Migration:
    return replace(MOVING, state=state, **fields)


@pytest.mark.parametrize("state", MigrationState)
def test_forcing_is_for_what_has_not_switched_and_is_not_undone(state: MigrationState) -> None:
    migration = in_state(state)
    if state in TERMINAL | PAST_NO_RETURN | {MigrationState.ROLLING_BACK}:
        with pytest.raises(Refused):
            judge_force(migration, AUTO)
    else:
        assert judge_force(migration, AUTO) == Accept()


def test_the_same_force_again_is_so_already_and_another_method_is_new() -> None:
    forced = replace(MOVING, force_method=AUTO)
    assert judge_force(forced, AUTO) == AlreadySo()
    assert judge_force(forced, ForceMethod.PAUSE) == Accept()


def test_what_is_aborted_is_not_brought_to_its_end() -> None:
    with pytest.raises(Refused) as refusal:
        judge_force(replace(MOVING, abort_by="operator"), AUTO)
    assert refusal.value.code == "migration.aborted"


@pytest.mark.parametrize("state", MigrationState)
def test_only_a_split_guest_can_be_rescued(state: MigrationState) -> None:
    if state in POSTCOPY_STATES:
        assert judge_rescue(in_state(state)) == Accept()
    else:
        with pytest.raises(Refused):
            judge_rescue(in_state(state))


def test_in_post_copy_only_its_own_bandwidth_can_be_tuned() -> None:
    split = in_state(MigrationState.POSTCOPY)
    assert judge_tune(split, Tuning(postcopy_bandwidth_mib_s=5)) == Accept()
    with pytest.raises(Refused) as refusal:
        judge_tune(split, Tuning(bandwidth_mib_s=5))
    assert refusal.value.code == "force.too_late"


@pytest.mark.parametrize(
    "asked",
    [
        Tune(id="m1"),
        Tune(id="m1", bandwidth_mib_s=-1),
        Tune(id="m1", postcopy_bandwidth_mib_s=1 << 21),
        Tune(id="m1", max_downtime_ms=0),
        Tune(id="m1", max_downtime_ms=2_000_001),
    ],
)
def test_senseless_limits_are_refused(asked: Tune) -> None:
    with pytest.raises(Refused) as refusal:
        parse_tuning(asked)
    assert refusal.value.code == "request.invalid"


def test_a_method_nobody_knows_is_refused() -> None:
    assert parse_force(ForceComplete(id="m1", method="pause")) is ForceMethod.PAUSE
    with pytest.raises(Refused) as refusal:
        parse_force(ForceComplete(id="m1", method="magic"))
    assert refusal.value.code == "request.invalid"


def test_an_agent_is_told_everything_that_still_holds() -> None:
    paused = ActionRecord(NOW, "suspend", "force_asked", "monitor", "begun", attempt=1)
    asked = replace(
        MOVING, force_method=AUTO, tuning=Tuning(max_downtime_ms=700), actions=(paused,)
    )
    assert standing(asked) == StandingAsks(force=AUTO, max_downtime_ms=700, suspended=True)
    assert not standing(replace(asked, attempt=2)).suspended
    assert standing(replace(asked, force_result="refused")).force is None


def test_newer_limits_leave_the_others_as_they_were() -> None:
    assert Tuning(bandwidth_mib_s=5, max_downtime_ms=100).plus(Tuning(bandwidth_mib_s=0)) == Tuning(
        bandwidth_mib_s=0, max_downtime_ms=100
    )


def test_the_profiles_bandwidth_for_post_copy_holds_until_another_is_set() -> None:
    limited = replace(MOVING, profile=replace(GUARANTEED, postcopy_bandwidth_mib_s=40))
    assert standing(limited).postcopy_bandwidth_mib_s == 40
    tuned = replace(limited, tuning=Tuning(postcopy_bandwidth_mib_s=0))
    assert standing(tuned).postcopy_bandwidth_mib_s == 0

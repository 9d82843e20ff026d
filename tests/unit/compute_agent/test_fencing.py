"""Which commands an agent obeys, and what a repeat is answered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.compute_agent.fencing import (
    Answered,
    Failed,
    Join,
    Ledger,
    Repeat,
    Run,
    key_of,
)
from migrator.errors import Broken, Fenced, MigratorError, Refused, Transient
from migrator.messages import FenceSource, SourceFenced

GONE = Answered(SourceFenced(result="gone"))


def command(
    epoch: int = 1,
    incarnation: str = "i1",
    migration: str = "m1",
    attempt: int = 1,
    step: str = "s",
) -> FenceSource:
    return FenceSource(
        incarnation=incarnation,
        migration_id=migration,
        attempt=attempt,
        epoch=epoch,
        step=step,
        deadline_s=1.0,
        instance_id="d1",
    )


def done(ledger: Ledger, one: FenceSource, op: str = "op") -> None:
    assert isinstance(ledger.admit(one, op), Run)
    ledger.settle(key_of(one, op), GONE)


def test_a_new_command_is_to_be_run() -> None:
    assert isinstance(Ledger("i1").admit(command(), "op"), Run)


def test_a_repeat_is_answered_with_the_first_result() -> None:
    ledger = Ledger("i1")
    done(ledger, command())
    assert ledger.admit(command(), "op") == Repeat(GONE)


def test_a_repeat_of_what_is_being_done_joins_it() -> None:
    ledger = Ledger("i1")
    ledger.admit(command(), "op")
    assert isinstance(ledger.admit(command(), "op"), Join)


@pytest.mark.parametrize(
    "other", [command(attempt=2), command(step="t"), command(epoch=2), command(migration="m2")]
)
def test_another_attempt_step_epoch_or_migration_is_new_work(other: FenceSource) -> None:
    ledger = Ledger("i1")
    done(ledger, command())
    assert isinstance(ledger.admit(other, "op"), Run)


def test_another_op_of_the_same_step_is_new_work() -> None:
    ledger = Ledger("i1")
    done(ledger, command())
    assert isinstance(ledger.admit(command(), "another"), Run)


def test_a_command_for_another_process_is_fenced_and_told_who_is_here() -> None:
    with pytest.raises(Fenced) as caught:
        Ledger("i1").admit(command(incarnation="i0"), "op")
    assert caught.value.code == "command.stale"
    assert caught.value.facts["incarnation"] == "i1"


def test_a_lower_epoch_is_fenced_also_for_a_result_that_is_known() -> None:
    ledger = Ledger("i1")
    done(ledger, command(epoch=1))
    ledger.admit(command(epoch=2, step="t"), "op")
    with pytest.raises(Fenced) as caught:
        ledger.admit(command(epoch=1), "op")
    assert caught.value.facts == {"incarnation": "i1", "epoch": 2}


def test_the_epoch_of_one_migration_says_nothing_about_another() -> None:
    ledger = Ledger("i1")
    ledger.admit(command(epoch=9), "op")
    assert isinstance(ledger.admit(command(epoch=1, migration="m2"), "op"), Run)


def test_a_command_overtaken_while_it_waited_is_fenced() -> None:
    ledger = Ledger("i1")
    ledger.admit(command(epoch=1), "op")
    ledger.admit(command(epoch=2), "op")
    with pytest.raises(Fenced):
        ledger.check(command(epoch=1))


@pytest.mark.parametrize(
    ("error", "remembered"),
    [
        (Refused("guest.busy", "no"), True),
        (Broken("transfer.failed", "no"), True),
        (Broken("internal", "a bug"), False),
        (Transient("libvirt.timeout", "not now"), False),
    ],
)
def test_only_what_may_work_later_is_tried_again(error: MigratorError, remembered: bool) -> None:
    ledger = Ledger("i1")
    ledger.admit(command(), "op")
    ledger.settle(key_of(command(), "op"), Failed(error))
    assert isinstance(ledger.admit(command(), "op"), Repeat if remembered else Run)


def test_memory_is_bounded_and_the_oldest_is_forgotten_first() -> None:
    ledger = Ledger("i1", results=2, migrations=2)
    for step in ("a", "b", "c"):
        done(ledger, command(step=step))
    assert isinstance(ledger.admit(command(step="c"), "op"), Repeat)
    assert isinstance(ledger.admit(command(step="a"), "op"), Run)


def test_what_is_being_done_is_never_forgotten() -> None:
    ledger = Ledger("i1", results=1)
    ledger.admit(command(step="slow"), "op")
    for step in ("a", "b", "c"):
        done(ledger, command(step=step))
    assert isinstance(ledger.admit(command(step="slow"), "op"), Join)


commands = st.builds(
    command,
    epoch=st.integers(1, 3),
    incarnation=st.sampled_from(["i1", "i1", "i1", "i0"]),
    migration=st.sampled_from(["m1", "m2"]),
    attempt=st.integers(1, 2),
    step=st.sampled_from(["s", "t"]),
)


@given(st.lists(st.tuples(commands, st.booleans()), max_size=40))
def test_every_piece_of_work_runs_once_and_none_of_a_lower_epoch(
    arrivals: list[tuple[FenceSource, bool]],
) -> None:
    """Against the rule written down directly; the flag says whether it ends before the next arrives."""
    ledger = Ledger("i1")
    seen: list[FenceSource] = []
    settled: set[object] = set()
    for arrived, settle in arrivals:
        mine = [one for one in seen if one.migration_id == arrived.migration_id]
        stale = arrived.incarnation != "i1" or any(one.epoch > arrived.epoch for one in mine)
        if stale:
            with pytest.raises(Fenced):
                ledger.admit(arrived, "op")
            continue
        verdict = ledger.admit(arrived, "op")
        key = key_of(arrived, "op")
        expected = Run if arrived not in seen else Repeat if key in settled else Join
        assert isinstance(verdict, expected)
        seen.append(arrived)
        if settle and expected is Run:
            ledger.settle(key, GONE)
            settled.add(key)

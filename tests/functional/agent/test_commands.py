"""Commands as they arrive: late, twice, at the same time, from a leader that was replaced."""

from __future__ import annotations

import pytest

from migrator.compute_agent.endpoint import AgentEndpoint
from migrator.compute_agent.fencing import Ledger
from migrator.compute_agent.gate import CommandGate
from migrator.errors import Broken, Fenced, MigratorError, Refused, Transient
from migrator.messages import AGENT_METHODS, Abort, FenceSource, SourceFenced, StartTransfer
from migrator.model import DomainState
from migrator.threads import SystemClock, Threads
from tests.functional.agent.world import World

GONE = SourceFenced(result="gone")


class Counted:
    """A piece of work that waits until it may end."""

    def __init__(self, concurrency: Threads, error: Exception | None = None) -> None:
        self.began = concurrency.inbox()
        self.may_end = concurrency.inbox()
        self.error = error
        self.times = 0

    def __call__(self, request: FenceSource) -> SourceFenced:
        self.times += 1
        self.began.put(request)
        assert self.may_end.get(10.0) is not None
        if self.error is not None:
            raise self.error
        return GONE


class Caller:
    """Somebody calling through the gate in a worker of its own."""

    def __init__(self, gate: CommandGate, request: FenceSource, work: Counted, op: str) -> None:
        self.result: object = None
        self.error: MigratorError | None = None

        def call() -> None:
            try:
                self.result = gate.run(op, request, work)
            except MigratorError as error:
                self.error = error

        self.worker = Threads().spawn("caller", call)

    def wait(self) -> Caller:
        assert self.worker.join(10.0)
        return self


@pytest.fixture
def threads() -> Threads:
    return Threads()


@pytest.fixture
def gate(threads: Threads) -> CommandGate:
    return CommandGate(Ledger("i1"), SystemClock(), threads)


def command(step: str = "s", epoch: int = 1, deadline_s: float = 10.0) -> FenceSource:
    return FenceSource(
        incarnation="i1",
        migration_id="m1",
        attempt=1,
        epoch=epoch,
        step=step,
        deadline_s=deadline_s,
        instance_id="d1",
    )


def test_every_method_of_the_contract_is_served() -> None:
    served = {name for name in vars(AgentEndpoint) if not name.startswith("_")}
    assert served == {method.name for method in AGENT_METHODS}


def test_a_duplicate_that_comes_meanwhile_gets_the_same_answer_and_does_nothing(
    gate: CommandGate, threads: Threads
) -> None:
    work = Counted(threads)
    first = Caller(gate, command(), work, "release_source")
    assert work.began.get(10.0) is not None
    second = Caller(gate, command(), work, "release_source")
    work.may_end.put(True)
    assert first.wait().result == second.wait().result == GONE
    assert work.times == 1


def test_a_failure_for_now_is_shared_by_those_who_wait_and_tried_again_by_the_next(
    gate: CommandGate, threads: Threads
) -> None:
    work = Counted(threads, Transient("libvirt.timeout", "not now"))
    first = Caller(gate, command(), work, "release_source")
    assert work.began.get(10.0) is not None
    work.may_end.put(True)
    error = first.wait().error
    assert isinstance(error, Transient)
    work.may_end.put(True)
    with pytest.raises(Transient):
        gate.run("release_source", command(), work)
    assert work.times == 2


def test_a_refusal_is_repeated_without_asking_again(gate: CommandGate, threads: Threads) -> None:
    work = Counted(threads, Refused("guest.busy", "no", job="backup"))
    work.may_end.put(True)
    for _ in range(3):
        with pytest.raises(Refused) as caught:
            gate.run("release_source", command(), work)
        assert (caught.value.code, caught.value.facts) == ("guest.busy", {"job": "backup"})
    assert work.times == 1


def test_what_nobody_foresaw_is_broken_and_may_be_tried_again(
    gate: CommandGate, threads: Threads
) -> None:
    work = Counted(threads, ZeroDivisionError())
    for _ in range(2):
        work.may_end.put(True)
        with pytest.raises(Broken) as caught:
            gate.run("release_source", command(), work)
        assert caught.value.code == "internal"
    assert work.times == 2


def test_a_command_without_time_left_is_not_begun(gate: CommandGate, threads: Threads) -> None:
    work = Counted(threads)
    with pytest.raises(Transient) as caught:
        gate.run("release_source", command(deadline_s=0.0), work)
    assert caught.value.code == "command.deadline"
    assert work.times == 0


def test_commands_on_one_guest_take_turns_and_one_that_waits_too_long_does_nothing(
    gate: CommandGate, threads: Threads
) -> None:
    slow, late, next_ = Counted(threads), Counted(threads), Counted(threads)
    first = Caller(gate, command("a"), slow, "start_transfer")
    assert slow.began.get(10.0) is not None
    error = Caller(gate, command("b", deadline_s=0.1), late, "abort").wait().error
    assert isinstance(error, Transient)
    assert (error.code, late.times) == ("command.deadline", 0)
    third = Caller(gate, command("c"), next_, "abort")
    slow.may_end.put(True)
    next_.may_end.put(True)
    assert first.wait().result == third.wait().result == GONE


def test_a_command_overtaken_by_a_new_leader_while_it_waited_does_nothing(
    gate: CommandGate, threads: Threads
) -> None:
    slow, stale = Counted(threads), Counted(threads)
    first = Caller(gate, command("a"), slow, "release_source")
    assert slow.began.get(10.0) is not None
    second = Caller(gate, command("b"), stale, "start_transfer")
    fence = Counted(threads)
    fence.may_end.put(True)
    assert gate.run("fence_source", command("c", epoch=2), fence) == GONE
    slow.may_end.put(True)
    assert first.wait().result == GONE
    assert isinstance(second.wait().error, Fenced)
    assert stale.times == 0


def test_a_repeated_start_over_the_wire_answers_as_the_first_did(world: World) -> None:
    world.fleet.hold()
    request = world.h1.command(
        StartTransfer, plan=world.plan(world.h2, 1, False), autostart=False, step="start_transfer"
    )
    endpoint = world.h1.agent.endpoint
    first, second = endpoint.start_transfer(request), endpoint.start_transfer(request)
    assert first == second
    assert not second.adopted


def test_a_command_of_a_leader_that_was_replaced_touches_nothing(world: World) -> None:
    world.h1.abort(epoch=5)
    with pytest.raises(Fenced) as caught:
        world.h1.start(world.h2, epoch=4)
    assert caught.value.facts["epoch"] == 5
    view = world.h1.host.view(world.guest)
    assert (view.state, view.mark, view.job) == (DomainState.RUNNING, None, None)


def test_a_command_for_the_former_process_is_told_who_is_here_now(world: World) -> None:
    former = world.h1.agent.incarnation
    world.h1.restart()
    request = world.h1.command(Abort, autostart=False, incarnation=former)
    with pytest.raises(Fenced) as caught:
        world.h1.agent.endpoint.abort(request)
    assert caught.value.facts["incarnation"] == world.h1.agent.incarnation != former

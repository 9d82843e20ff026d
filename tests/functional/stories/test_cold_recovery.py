"""A cold move survives the death of its conductor and of both agents, wherever in it they die.

Every boundary of the list of steps is tried: each step about to begin, done and not written down, about
to be undone, undone and not written down; each state just come into; each to-do done and not written
down. After each the same rules must hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from migrator.conductor.flow import COLD_STEPS
from migrator.errors import Broken
from migrator.messages import RevertMigration, Verify
from migrator.model import TodoKind
from migrator.rpc import Bus
from migrator.states import MigrationState
from tests.fakes.hypervisor_pools import FakeVolume
from tests.functional.stories.boundaries import (
    BEFORE,
    BEFORE_UNDO,
    DONE,
    UNDONE,
    Answers,
    Everywhere,
    Gate,
    at,
    finished,
    moved,
)
from tests.functional.stories.cold import (
    QCOW2,
    claims,
    cold,
    furnish,
    guest,
    local,
    owner,
    real,
    service_with,
    undone,
)
from tests.functional.stories.fleet import ServiceUnderTest

STEPS = [step.name for step in COLD_STEPS]
FORWARD = [at(step, state) for step in STEPS for state in (BEFORE, DONE)]
ENTERED = [
    moved(state)
    for state in (
        MigrationState.SCHEDULING,
        MigrationState.CLAIMED,
        MigrationState.PREPARING,
        MigrationState.STOPPING,
        MigrationState.COPYING,
        MigrationState.SWITCHED,
    )
]
AFTERWARDS = [
    finished(kind)
    for kind in (TodoKind.FINISH_DESTINATION, TodoKind.RELEASE_SOURCE, TodoKind.DELETE_VOLUMES)
]
BACK = [
    moved(MigrationState.ROLLING_BACK),
    *(at(step, state) for step in STEPS[:-1] for state in (BEFORE_UNDO, UNDONE)),
]
"""Of a move whose guest does not start over there; its last step was not come to."""
REVERTED = [finished(TodoKind.REVERT), finished(TodoKind.UNDO_DESTINATION)]

ASKED = [
    ("h1", "describe_source"),
    ("h1", "stop_guest"),
    ("h1", "stream_volumes"),
    ("h1", "streams"),
    ("h1", "release_source"),
    ("h1", "delete_volumes"),
    ("h2", "check_destination"),
    ("h2", "prepare_destination"),
    ("h2", "stream_volumes"),
    ("h2", "streams"),
    ("h2", "define_guest"),
    ("h2", "start_guest"),
    ("h2", "finish_destination"),
]
"""All that agents are asked that changes something, and the reads a cold move cannot do without."""

NO_START = Broken("guest.start_failed", "no such firmware")


class Whole(dict[str, FakeVolume]):
    """Volumes of the source. None goes before the destination's have the same in them."""

    early: list[str]

    def __init__(self, volumes: dict[str, FakeVolume], copies: dict[str, FakeVolume]) -> None:
        super().__init__(volumes)
        self._copies = copies
        self.early = []

    def pop(self, name: str, *default: Any) -> Any:
        volume, copy = self.get(name), self._copies.get(name)
        if name in COPIED and (copy is None or copy.content != CONTENT[name]):
            self.early.append(f"{name} was deleted though its copy is {copy}")
        assert volume is not None or default
        return super().pop(name, *default)


COPIED = {"web1-vda", "web1-vdb"}
CONTENT = {"web1-vda": b"raw", "web1-vdb": QCOW2}


class Case(NamedTuple):
    """A service whose guest web1 is about to move, with the volumes of its source."""

    service: ServiceUnderTest
    web1: str
    source: Whole

    def arrived(self) -> None:
        """The guest is at the destination as it was, once, and nothing of it is anywhere else."""
        self.settled("h2")
        assert self.service.running_on(self.web1) == ["h2"]
        assert self.service.known_on(self.web1) == ["h2"]
        view = self.service.host("h2").view(self.web1)
        assert (view.mark, view.autostart, view.persistent) == (None, True, True)
        self.service.until(lambda: real(local(self.service, "h1")) == set())
        assert set(local(self.service, "h2")) == COPIED
        assert {n: v.content for n, v in local(self.service, "h2").items()} == CONTENT

    def settled(self, host: str) -> None:
        """The record, the claims and the shared disk, wherever it is; nothing was deleted too early."""
        self.service.until(lambda: owner(self.service) == (host, "running"))
        self.service.until(lambda: claims(self.service) == {(host, "use")})
        assert self.source.early == []
        shared = self.service.host("h1").pools["shared"].storage.volumes
        assert real(shared) == {"web1-vdc"}
        self.service.until(lambda: self.service.client.verify(Verify()).breaches == [])


@contextmanager
def moving(
    tmp_path: Path,
    bus: Bus,
    gate: Gate | None = None,
    answers: Answers | None = None,
    **settings: Any,
) -> Iterator[Case]:
    """web1 runs on h1; the conductor that is about to lead its move meets the gate."""
    service = service_with(tmp_path, bus, **settings)
    if gate is not None:
        service.wrap_stores = gate.before
    if answers is not None:
        service.wrap_agents = answers.of
    with service:
        furnish(service)
        storage = service.host("h1").pools["local"].storage
        storage.volumes = whole = Whole(storage.volumes, local(service, "h2"))
        web1 = guest(service, running=True, autostart=True)
        try:
            yield Case(service, web1, whole)
        finally:
            if gate is not None:
                gate.let_die()


def restart(service: ServiceUnderTest) -> None:
    """The conductor, as after a kill: what leads migrations in it never writes again."""
    service.stop_conductor()
    service.wrap_stores = lambda stores: stores
    service.start_conductor()


def restart_agent(service: ServiceUnderTest, host: str) -> None:
    """With nothing in its memory."""
    service.stop_agent(host)
    service.start_agent(host)


@pytest.mark.parametrize("point", [*ENTERED, *FORWARD, *AFTERWARDS])
def test_a_conductor_that_dies_on_the_way_there(tmp_path: Path, bus: Bus, point: str) -> None:
    gate = Gate(point)
    with moving(tmp_path, bus, gate) as case:
        asked = cold(case.service)
        gate.wait()
        restart(case.service)
        ended = case.service.wait(asked.id)
        assert ended.state == "completed", case.service.events(ended.id)
        case.arrived()


@pytest.mark.parametrize("point", BACK)
def test_a_conductor_that_dies_on_the_way_back(tmp_path: Path, bus: Bus, point: str) -> None:
    gate = Gate(point)
    with moving(tmp_path, bus, gate) as case:
        case.service.host("h2").fails["start"] = NO_START
        asked = cold(case.service)
        gate.wait()
        restart(case.service)
        ended = case.service.wait(asked.id)
        assert (ended.state, ended.error_code) == ("failed", NO_START.code), case.service.events(
            ended.id
        )
        undone(case.service, case.web1)
        case.settled("h1")


@pytest.mark.parametrize("point", REVERTED)
def test_a_conductor_that_dies_while_it_brings_a_guest_back(
    tmp_path: Path, bus: Bus, point: str
) -> None:
    gate = Gate(point)
    with moving(tmp_path, bus, gate, cold_confirm_s=3600.0) as case:
        asked = cold(case.service)
        case.service.wait_for_state(asked.id, MigrationState.AWAITING_CONFIRM)
        case.service.client.revert(RevertMigration(id=asked.id))
        gate.wait()
        restart(case.service)
        ended = case.service.wait(asked.id)
        assert ended.state == "reverted", case.service.events(ended.id)
        undone(case.service, case.web1)
        case.settled("h1")


@pytest.mark.parametrize("host", ["h1", "h2"])
def test_an_agent_that_is_another_process_after_every_step(
    tmp_path: Path, bus: Bus, host: str
) -> None:
    gate = Everywhere(lambda: restart_agent(case.service, host))
    with moving(tmp_path, bus, gate) as case:
        ended = case.service.wait(cold(case.service).id)
        assert ended.state == "completed", case.service.events(ended.id)
        case.arrived()
        assert [
            point for point in [*ENTERED, *FORWARD, *AFTERWARDS] if point not in gate.passed
        ] == []


@pytest.mark.parametrize("host", ["h1", "h2"])
def test_an_agent_that_is_another_process_after_every_undo(
    tmp_path: Path, bus: Bus, host: str
) -> None:
    gate = Everywhere(lambda: restart_agent(case.service, host))
    with moving(tmp_path, bus, gate) as case:
        case.service.host("h2").fails["start"] = NO_START
        ended = case.service.wait(cold(case.service).id)
        assert (ended.state, ended.error_code) == ("failed", NO_START.code)
        undone(case.service, case.web1)
        case.settled("h1")
        assert [point for point in BACK if point not in gate.passed] == []


@pytest.mark.parametrize(("host", "verb"), ASKED)
def test_an_agent_that_dies_with_its_answer(tmp_path: Path, bus: Bus, host: str, verb: str) -> None:
    gate, answers = Gate(moved(MigrationState.SCHEDULING)), Answers()
    with moving(tmp_path, bus, gate, answers) as case:
        asked = cold(case.service)
        gate.wait()
        # Only now: the verdict has asked them too.
        answers.lose(host, verb, lambda: restart_agent(case.service, host))
        gate.let_on()
        ended = case.service.wait(asked.id)
        assert answers.lost
        if verb == "check_destination":
            # Nothing has been touched, and there is no other host.
            assert ended.state == "rejected"
            undone(case.service, case.web1)
        else:
            assert ended.state == "completed", case.service.events(ended.id)
            case.arrived()


def test_every_command_of_a_cold_move_was_tried(tmp_path: Path, bus: Bus) -> None:
    answers = Answers()
    with moving(tmp_path, bus, answers=answers) as case:
        assert case.service.wait(cold(case.service).id).state == "completed"
        case.arrived()
    reads = {"inspect", "list_domains", "check_source", "stop_streams"}
    assert {each for each in answers.asked if each[1] not in reads} == set(ASKED)

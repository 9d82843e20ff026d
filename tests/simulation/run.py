"""One run from its plan to its verdict."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from migrator.conductor.rpcapi import ConductorClient
from migrator.errors import MigratorError
from migrator.messages import Empty, Verify
from migrator.rpc import Bus
from tests.simulation.database import SimDatabase
from tests.simulation.faults import Faults
from tests.simulation.invariants import violations
from tests.simulation.network import SimBus, Weather
from tests.simulation.person import help_out
from tests.simulation.plan import Plan
from tests.simulation.scheduler import START, Stuck
from tests.simulation.world import World

STARTS_WITHIN_S = 60.0
HELPED_AFTER_S = 400.0
"""Some ends only a person can choose; until then the migration waits and says for what."""
ENDS_WITHIN_S = 1800.0
"""Of virtual time; the longest waits are a minute's pause of a to-do and a message 60 s late."""
SETTLES_WITHIN_S = 200.0
"""Inventories, sweeps and the last to-do after the last migration has ended."""
LOOKS_EVERY_S = 5.0


@dataclass
class Report:
    """What came of a run."""

    plan: Plan
    violations: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    """How each migration ended, or the code it was refused with."""
    struck: list[str] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    virtual_s: float = 0.0
    switches: int = 0
    points: dict[tuple[str, str], int] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [
            str(self.plan),
            *self.story,
            "",
            *(f"VIOLATION {each}" for each in self.violations),
        ]
        return "\n".join(lines)


@functools.cache
def database() -> SimDatabase:
    """One for all runs of this process."""
    logging.getLogger("taskflow").setLevel(logging.CRITICAL)
    return SimDatabase()


def run(plan: Plan) -> Report:
    """Play it."""
    report = Report(plan)
    world = World(plan, database())
    faults = Faults(world)
    try:
        report.violations += _play(world, faults)
        report.story = list(_story(world))
    finally:
        report.ends = list(_ends(world))
        report.struck = faults.struck
        report.points = faults.points
        report.virtual_s, report.switches = world.scheduler.time, world.scheduler.switches
        world.close()
    return report


def _play(world: World, faults: Faults) -> list[str]:
    try:
        return list(_course(world, faults))
    except Stuck as stuck:
        return [str(stuck)]


def _course(world: World, faults: Faults) -> Iterator[str]:
    scheduler = world.scheduler
    for number in range(world.plan.conductors):
        world.start_conductor(f"c{number + 1}")
    for name in world.fleet.hosts:
        world.start_agent(name)
    world.add_guests()
    if not scheduler.run_until(Changed(world, _known), STARTS_WITHIN_S):
        yield "the fleet does not come up"
        return
    world.network.weather = world.plan.weather
    faults.arm()
    for guest in world.guests:
        world.ask_to_migrate(guest, world.plan.target, f"first-{guest}")
    yield from _until_ended(world, faults)
    if world.plan.once_more or world.plan.family != "live":
        yield from _verified(world)
    if world.plan.once_more:
        yield from _once_more(world, faults)


def _until_ended(world: World, faults: Faults) -> Iterator[str]:
    def ended(world: World) -> bool:
        return faults.over and _all_ended(world)

    if not world.scheduler.run_until(Changed(world, ended), HELPED_AFTER_S):
        world.act("a person helps", lambda: help_out(world))
    if not world.scheduler.run_until(Changed(world, ended), ENDS_WITHIN_S):
        yield f"it has not ended after {ENDS_WITHIN_S:.0f} s"
        yield from violations(world, faults.struck)
        return
    faults.forget()
    world.scheduler.run_until(lambda: faults.over, ENDS_WITHIN_S)
    yield from _once_settled(world, faults)


def _once_settled(world: World, faults: Faults) -> Iterator[str]:
    """The rules hold, at the latest when the last inventory has been told."""
    until = world.scheduler.time + SETTLES_WITHIN_S
    while wrong := list(violations(world, faults.struck)):
        if world.scheduler.time >= until:
            yield from wrong
            return
        world.scheduler.run_until(lambda: False, LOOKS_EVERY_S)


def _verified(world: World) -> Iterator[str]:
    """The service's own verification finds nothing either, nor does its audit of claims; at the latest
    when the next inventories have been told."""
    if any(end == "lost" for end in _ends(world)):
        return  # what is left of such a guest is a person's to remove
    client = ConductorClient(cast(Bus, SimBus(world.network, world.operator)))
    world.network.weather = Weather()
    said: list[str] = []

    def ask() -> None:
        try:
            answer = client.verify(Verify())
            claims = client.audit_claims(Empty()).findings
        except MigratorError as error:
            said.append(f"it cannot: {error}")
            return
        said.append("; ".join(each.message for each in [*answer.breaches, *claims]))

    until = world.scheduler.time + SETTLES_WITHIN_S
    while said[-1:] != [""] and world.scheduler.time < until:
        asked = len(said)
        world.act("verify", ask)
        world.scheduler.run_until(lambda asked=asked: len(said) > asked, SETTLES_WITHIN_S)
        if said[-1:] != [""]:
            world.scheduler.run_until(lambda: False, LOOKS_EVERY_S)
    if said[-1:] != [""]:
        yield f"`verify` says: {said[-1:]}"


def _once_more(world: World, faults: Faults) -> Iterator[str]:
    """Whatever happened, the next migration of a living guest works."""
    world.network.weather = Weather()
    if not world.scheduler.run_until(Changed(world, _hosts_live), STARTS_WITHIN_S):
        yield "a host does not come back"
    for guest in world.guests:
        homes = [name for name, host in world.fleet.hosts.items() if guest in host.domains]
        if len(homes) != 1 or not world.fleet.hosts[homes[0]].domains[guest].active:
            continue
        if world.lost(guest):
            continue
        world.ask_to_migrate(guest, "h1" if homes[0] != "h1" else "h2", f"again-{guest}")
    yield from _until_ended(world, faults)
    for request_id in world.asked:
        if request_id.startswith("again-"):
            answer = world.answers[request_id]
            state = world.stores().migrations.get(answer).state if len(answer) == 36 else answer
            # A first request that was given up may have waited in a queue, and be obeyed after all.
            if state not in ("completed", "migration.exists"):
                yield f"the next migration ended {state}"


class Changed:
    """A condition on the database, looked at only when something was written or time went on."""

    def __init__(self, world: World, condition: Callable[[World], bool]) -> None:
        self._world = world
        self._condition = condition
        self._at: tuple[int, int, float] | None = None

    def __call__(self) -> bool:
        world = self._world
        now = (world.database.commits, len(world.answers), world.scheduler.time // 1)
        if now == self._at:
            return False
        self._at = now
        return self._condition(world)


def _known(world: World) -> bool:
    """Every host and every guest has been heard of."""
    hosts = world.count("SELECT count(*) FROM hosts WHERE why_down = '' AND facts IS NOT NULL")
    guests = world.count("SELECT count(*) FROM instances")
    return (hosts, guests) == (len(world.fleet.hosts), len(world.guests))


def _hosts_live(world: World) -> bool:
    return all(host.alive for host in world.stores().hosts.list())


def _all_ended(world: World) -> bool:
    if set(world.asked) != set(world.answers):
        return False
    if world.count("SELECT count(*) FROM migrations WHERE finished_at IS NULL"):
        return False
    return world.count("SELECT count(*) FROM todos WHERE NOT done") == 0


def _ends(world: World) -> Iterator[str]:
    for answer in world.answers.values():
        if len(answer) == 36:
            rows = world.rows(f"SELECT state FROM migrations WHERE id = '{answer}'")
            yield rows[0][0] if rows else "nothing"
        else:
            yield answer


def _story(world: World) -> Iterator[str]:
    """Everything there is to know of a run, by time."""
    lines = [*world.log, *world.fleet.witness.log]
    for row in world.rows("SELECT at, migration_id, kind, text FROM migration_events"):
        seconds = _seconds(str(row[0]))
        lines.append(f"{seconds:9.3f}  {row[1][:8]} {row[2]}: {row[3]}")
    yield from sorted(lines, key=lambda line: float(line[:9]))
    yield from world.refusals


def _seconds(at: str) -> float:
    return (datetime.fromisoformat(at).replace(tzinfo=UTC) - START).total_seconds()

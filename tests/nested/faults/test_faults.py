"""The matrix of faults on real hosts; each case ends in the same verification of all the rules.

CI runs a sample. ``tools/test --faults full [--shard I/N]`` runs every case.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from tests.nested.faults.matrix import BACK, CASES, FROZEN_S, HURRIED, MOMENTS, SAMPLE, SPLIT, Case
from tests.nested.faults.results import Result, keeping
from tests.nested.lab import SLOWLY, Document, Host, Lab, Moving
from tests.nested.on_its_way import Led, Watch, led
from tests.nested.test_postcopy import split
from tests.nested.verify import verify

pytestmark = [pytest.mark.nested, pytest.mark.broker]


def chosen() -> Iterator[Case]:
    """The sample, or everything."""
    whole = os.environ.get("MIGRATOR_FAULTS") == "full"
    yield from (case for case in CASES if whole or str(case) in SAMPLE)


@pytest.mark.parametrize("case", [*chosen()], ids=str)
def test_the_rules_hold_after_a_fault(case: Case, broker_lab: Lab, broker_roamer: str) -> None:
    with keeping(
        Result(str(case), case.verb, case.victim.name, case.moment, case.victim.ours)
    ) as result:
        play(case, broker_lab, broker_roamer, result)
        verify(broker_lab)
        result.has_settled()
        if case.verb in BACK:
            # A host that was cut off tries to reach its broker only every few seconds.
            broker_lab.up()


def play(case: Case, lab: Lab, guest: str, result: Result) -> None:
    """The fault, and how the migration ends."""
    source = lab.home_of(guest)
    destination = lab.other(source)
    moving = begin(case, lab, guest, destination)
    words = case.victim.words(lab, moving, guest, (source, destination))
    hit = lab.tool(case.verb, *words, check=False)
    watch = Watch(moving, guest, lead_lost(moving, case, words) if case.victim.ours else None)
    if hit.status != 0 and case.victim.target == "qemu":
        moving.until_ended()  # it was faster: nothing was there to be hurt any more
        result.is_back()
    else:
        assert hit.status == 0, hit.err
        mend(lab, case, words, result)
        if case.victim.ours:
            watch.await_held()
            result.has_held()
    ended = finish(lab, case, moving, guest)
    result.has_ended(ended["state"], ended["error_code"])


def begin(case: Case, lab: Lab, guest: str, destination: Host) -> Moving:
    """A migration that has come to the case's moment."""
    if case.moment == SPLIT:
        return split(lab, guest)[2]
    moving = lab.migrate(guest, destination, *SLOWLY)
    if case.moment in HURRIED:
        moving.until_memory_flows()
        lab.hurry(guest, lab.other(destination))
    moving.until(MOMENTS[case.moment])
    return moving


def lead_lost(moving: Moving, case: Case, words: list[str]) -> Led | None:
    """What the conductor that was hurt had led."""
    if case.victim.target != "conductor":
        return None
    lead = led(moving)
    return lead if lead.leader == words[-1] else None


def mend(lab: Lab, case: Case, words: list[str], result: Result) -> None:
    """Start again what died, or take back what was done to it."""
    if case.verb in BACK:
        time.sleep(FROZEN_S)
        result.is_back()
        lab.tool(BACK[case.verb], *words, check=False)
    else:
        result.is_back()
        lab.up()
        result.answers()


def finish(lab: Lab, case: Case, moving: Moving, guest: str) -> Document:
    """How it ended; that must be one of the ways such a fault may end."""
    lab.migrator("migration", "tune", moving.id, "--bandwidth", "0", "--postcopy-bandwidth", "0")
    # One that has ended refuses; of the others every later leader knows it.
    ended = moving.until_ended(180)
    source = ended["source"]
    assert ended["state"] in case.ends, moving.story()
    alive = any(guest in each["pids"]["qemu"] for each in lab.describe())
    assert alive or case.may_kill_the_guest, moving.story()
    if ended["state"] == "lost":
        assert ended["error_code"] == "transfer.lost", ended
    elif not alive:
        assert ended["state"] == "completed" or ended["error_code"] == "guest.died", ended
    if ended["state"] == "lost" or not alive:
        # Of a lost one the record says to destroy what still stands there; its source's libvirt may
        # hang in the call whose QEMU died until it is started again.
        if alive:
            lab.tool("kill", "libvirtd", source)
            lab.up()
        lab.discard(guest)
    elif ran_twice(moving):
        # libvirt let it run at the source, whose agent held it at once: a beat that was overdue got out.
        beats = [each["n"] for each in lab.beats(guest)]
        assert len(beats) - len(set(beats)) <= 1, beats
        lab.discard(guest)
    return ended


def ran_twice(moving: Moving) -> bool:
    """The record says so."""
    return any(each["kind"] == "alarm" and "as well" in each["text"] for each in moving.events())

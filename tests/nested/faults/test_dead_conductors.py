"""Two of three conductors die while many guests move: the third brings every migration to its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from tests.nested.faults.matrix import leader
from tests.nested.lab import Document, Host, Lab, Moving
from tests.nested.verify import verify

pytestmark = [pytest.mark.nested, pytest.mark.broker, pytest.mark.timeout(1800)]

GUESTS = 20
SMALL = ("--memory", "96", "--beat", "500")
"""The least there is; a guest with the usual beat takes a tenth of a CPU."""
GENTLY = ("--bandwidth", "8")
AT_ONCE = 2
"""Guests that boot beside each other, and commands that ask."""
ENDS_WITHIN_S = 400

T = TypeVar("T")
U = TypeVar("U")


def each(work: Callable[[T], U], things: Sequence[T]) -> Sequence[U]:
    """A few at a time."""
    with ThreadPoolExecutor(max_workers=AT_ONCE) as workers:
        return [*workers.map(work, things)]


def test_every_migration_ends_truthfully(fleet: Lab) -> None:
    lab = fleet
    homes = {f"small{n}": lab.hosts[n % len(lab.hosts)] for n in range(GUESTS)}
    each(lambda guest: lab.boot(guest, homes[guest], *SMALL), [*homes])

    moving = dict(zip(homes, each(lambda guest: ask(lab, guest), [*homes]), strict=True))
    first = moving["small0"]
    first.until(lambda view: view["state"] not in ("queued", "scheduling"))
    dead = [leader(first)]
    dead += [name for name in ("c1", "c2", "c3") if name not in dead][:1]
    for name in dead:
        lab.tool("kill", "conductor", name)

    ends = {guest: each_one.until_ended(ENDS_WITHIN_S) for guest, each_one in moving.items()}
    for guest, ended in ends.items():
        assert lab.home_of(guest) == told(lab, ended, homes[guest]), moving[guest].story()
    states = [ended["state"] for ended in ends.values()]
    assert states.count("completed") >= 0.95 * GUESTS, ends
    lab.up()
    verify(lab)


def ask(lab: Lab, guest: str) -> Moving:
    """Anywhere it fits."""
    done = lab.migrator("migrate", guest, *GENTLY, "-f", "json")
    assert done.status == 0, done.err
    return Moving(lab, done.json["id"])


def told(lab: Lab, ended: Document, source: Host) -> Host:
    """Where the record says that the guest is now."""
    return lab.host(ended["destination"]) if ended["state"] == "completed" else source

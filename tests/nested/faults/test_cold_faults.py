"""Processes that die by force while a guest's volumes are streamed: the move goes on, nothing is lost or
left behind.

CI runs one of them. ``tools/test --faults full`` runs all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.nested.faults.matrix import VICTIMS, Victim
from tests.nested.lab import Document, Lab
from tests.nested.test_copied_disks import UNUSED, fill, names, volume
from tests.nested.verify import verify

pytestmark = [pytest.mark.nested, pytest.mark.broker]

GUEST = "frosty"
DISK = ("--memory", "128", "--dirty", "8", "--dirty-rate", "2", "--disk", "local:64:raw")
SLOW = ("--bandwidth", "3")
SAMPLE = ("source agent",)
"""What CI runs."""
STATES = {
    "stopping": lambda view: view["state"] == "stopping",
    "copying": lambda view: view["state"] == "copying" and bool(view["disk_total"]),
    "switched": lambda view: view["switched_at"] is not None,
}


def chosen() -> Iterator[tuple[Victim, str]]:
    for victim in VICTIMS:
        if victim.target not in ("conductor", "agent", "libvirtd"):
            continue
        for state in STATES:
            full = os.environ.get("MIGRATOR_FAULTS") == "full"
            if full or (victim.name in SAMPLE and state == "copying"):
                yield victim, state


@pytest.fixture
def frosty(broker_lab: Lab) -> str:
    """With a disk of its own; wherever the last case left it."""
    if GUEST not in broker_lab.guests:
        broker_lab.boot(GUEST, broker_lab.hosts[0], *DISK)
    return GUEST


@pytest.fixture(scope="module", autouse=True)
def discarding(distributed: Lab) -> Iterator[None]:
    yield
    if GUEST in distributed.guests:
        distributed.discard(GUEST)


@pytest.mark.parametrize(
    ("victim", "state"), [pytest.param(*each, id=f"{each[0].name}-{each[1]}") for each in chosen()]
)
def test_a_cold_move_goes_on_after(
    victim: Victim, state: str, broker_lab: Lab, frosty: str
) -> None:
    lab, source = broker_lab, broker_lab.home_of(frosty)
    destination = lab.other(source)
    fill(volume(source, f"{frosty}-vda"), UNUSED)
    moving = lab.migrate(frosty, destination, "--kind", "cold", *SLOW)
    moving.until(STATES[state])
    lab.tool("kill", *victim.words(lab, moving, frosty, (source, destination)))
    lab.up()
    ended: Document = moving.until_ended(180)
    assert ended["state"] == "completed", moving.story()
    assert lab.home_of(frosty) == destination
    assert f"{frosty}-vda" in names(destination)
    assert not [name for name in names(source) if name.startswith((frosty, ".migrator-made"))]
    verify(lab)

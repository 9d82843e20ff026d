"""A whole host is lost at once, and comes back: its libvirtd, its agent and every QEMU on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.nested.conftest import ROAMER
from tests.nested.faults.results import Result, keeping
from tests.nested.lab import SLOWLY, Document, Lab, Moving
from tests.nested.test_postcopy import GUARANTEED, force, tune
from tests.nested.verify import verify

pytestmark = [pytest.mark.nested, pytest.mark.broker]

GUEST = "stranded"


@pytest.fixture(autouse=True)
def alone(broker_lab: Lab) -> Iterator[None]:
    """What other tests have left on the host would be lost with it."""
    for guest in list(broker_lab.guests):
        broker_lab.discard(guest)
    yield
    if GUEST in broker_lab.guests:
        broker_lab.discard(GUEST)


CASES = [(side, phase) for phase in ("copying", "postcopy") for side in ("source", "destination")]


@pytest.mark.parametrize(("side", "phase"), CASES)
def test_a_host_that_is_lost_and_comes_back(side: str, phase: str, broker_lab: Lab) -> None:
    lab, case = broker_lab, f"kill-{side}-host-{phase}"
    source, destination = lab.hosts
    lab.boot(GUEST, source, *ROAMER)
    with keeping(Result(case, "kill", f"{side} host, all of it", phase, ours=False)) as result:
        moving = lab.migrate(GUEST, destination, *SLOWLY, *GUARANTEED)
        moving.until_memory_flows()
        if phase == "postcopy":
            into_postcopy(lab, moving)
        lab.tool("kill", "host", (source if side == "source" else destination).name)
        result.is_back()
        lab.up()
        result.answers()
        for limit in ("--bandwidth", "--postcopy-bandwidth"):
            lab.migrator("migration", "tune", moving.id, limit, "0")
        ended = moving.until_ended(240)
        result.has_ended(ended["state"], ended["error_code"])
        check(lab, moving, ended, survives=(side, phase) == ("destination", "copying"))
        verify(lab)
        result.has_settled()


def into_postcopy(lab: Lab, moving: Moving) -> None:
    """Most of its memory still at the source."""
    tune(lab, moving, 1)
    assert force(lab, moving, "--method", "postcopy").status == 0
    moving.until(lambda view: view["state"] == "postcopy")


def check(lab: Lab, moving: Moving, ended: Document, survives: bool) -> None:
    """What had only been in one host's memory is lost with it, and the record says so."""
    if survives:
        assert ended["state"] in ("failed", "cancelled"), moving.story()
        assert lab.home_of(GUEST) == lab.hosts[0]
        return
    assert ended["state"] == "lost" or ended["error_code"] == "guest.died", moving.story()
    lab.discard(GUEST)

"""Who hangs, and who is only slow."""

from __future__ import annotations

from typing import Any, cast

import pytest

from migrator.conductor.hanging import HANGS_AFTER_S, MOST_S, hangs_after_s
from migrator.conductor.run import Run
from migrator.conductor.steps.postcopy import HANGS_S, Rescue, note_hanging
from migrator.errors import Refused, Transient
from migrator.model import JobSample
from migrator.states import MigrationState
from tests.unit.examples import a_migration

MIB = 1 << 20


@pytest.mark.parametrize(
    ("bandwidth", "least", "most"),
    [
        (0, HANGS_AFTER_S, HANGS_AFTER_S),
        (1000 * MIB, HANGS_AFTER_S, HANGS_AFTER_S + 0.1),
        (8 * MIB, 6.0, 6.5),
        (MIB, 14.0, 16.0),
        (1000, MOST_S, MOST_S),
    ],
)
def test_a_slow_link_is_given_the_time_it_takes_to_empty(
    bandwidth: int, least: float, most: float
) -> None:
    assert least <= hangs_after_s(JobSample("out", memory_bandwidth=bandwidth)) <= most
    assert hangs_after_s(None) == HANGS_AFTER_S


class Recorded:
    """As much of a run as noting takes."""

    destination = "h2"
    source = "h1"

    def __init__(self) -> None:
        self.migration = a_migration(state=MigrationState.POSTCOPY_PAUSED)
        self.attention: list[str] = []

    def update(self, **values: Any) -> None:
        self.attention.append(values["attention"])


def test_a_qemu_that_does_not_answer_while_it_is_rescued_is_shown_once_it_lasts() -> None:
    run, rescue = Recorded(), Rescue()
    busy = Transient("libvirt.timeout", "libvirt did not answer")

    def noted(error: Transient | Refused, at: float) -> list[str]:
        note_hanging(cast(Run, run), rescue, error, at)
        return run.attention

    assert noted(busy, 100.0) == []
    assert noted(busy, 99.0 + HANGS_S) == []
    assert noted(Refused("transfer.failed", "no route"), 100.0 + HANGS_S) == []
    assert noted(busy, 101.0 + HANGS_S) == [], "it has answered in between"
    (text,) = noted(busy, 102.0 + 2 * HANGS_S)
    assert "libvirt waits for the QEMU on h2 to answer" in text

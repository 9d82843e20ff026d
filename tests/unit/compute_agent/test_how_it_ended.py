"""What a source can tell of a transfer whose call another process made."""

from __future__ import annotations

import pytest

from migrator.compute_agent.transfer import how_it_ended
from migrator.model import DomainState, DomainView, Reason, Statistics


@pytest.mark.parametrize(
    ("view", "statistics"),
    [
        (DomainView(DomainState.SHUTOFF, Reason.MIGRATED), None),
        (DomainView(DomainState.ABSENT), Statistics(downtime_ms=60)),
    ],
)
def test_libvirt_says_that_it_moved(view: DomainView, statistics: Statistics | None) -> None:
    assert how_it_ended(view, statistics) is None


@pytest.mark.parametrize(
    ("view", "statistics"),
    [
        (DomainView(DomainState.ABSENT), None),
        (DomainView(DomainState.ABSENT), Statistics(total_ms=60)),
        (DomainView(DomainState.RUNNING, Reason.BOOTED), None),
        (DomainView(DomainState.PAUSED, Reason.MIGRATION), None),
        (DomainView(DomainState.SHUTOFF, Reason.CRASHED), None),
    ],
)
def test_otherwise_it_is_unknown_and_says_so(
    view: DomainView, statistics: Statistics | None
) -> None:
    error = how_it_ended(view, statistics)
    assert error is not None
    assert "unknown: adopted" in error.message

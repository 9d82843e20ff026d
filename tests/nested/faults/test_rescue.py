"""A post-copy whose link is cut, and what brings it back.

Part of the full sweep: the second takes as long again as the link was cut, which is TCP's doing.
"""

from __future__ import annotations

import time

import pytest

from tests.nested.lab import Lab
from tests.nested.test_postcopy import restless, split, tune
from tests.nested.verify import verify

pytestmark = pytest.mark.nested
__all__ = ["restless"]


@pytest.mark.parametrize("cut_s", [10, 60])
def test_post_copy_over_a_link_that_was_cut_goes_on_when_it_is_back(
    lab: Lab, restless: str, cut_s: int
) -> None:
    source, destination, moving = split(lab, restless)
    began = time.monotonic()
    lab.tool("cut", source.name, "--plane", "migration")
    paused = moving.until(lambda view: view["state"] == "postcopy_paused")
    assert "interrupted" in paused["needs_attention"]
    time.sleep(max(0.0, began + cut_s - time.monotonic()))
    lab.tool("heal", source.name, "--plane", "migration")
    resumed = moving.until(lambda view: view["state"] != "postcopy_paused", 30 + 3 * cut_s)
    assert resumed["needs_attention"] is None
    tune(lab, moving, 0)
    ended = moving.until_ended()
    assert ended["state"] == "completed", moving.story()
    assert lab.home_of(restless) == destination
    verify(lab)

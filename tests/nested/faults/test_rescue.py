"""A post-copy whose link is cut, and what brings it back.

Part of the full sweep: how long libvirt and QEMU take to see that a connection is dead is not ours to
bound, and a try to resume that libvirt has taken can hang for minutes.
"""

from __future__ import annotations

import pytest

from tests.nested.lab import Lab
from tests.nested.test_postcopy import restless, split, tune
from tests.nested.verify import verify

pytestmark = pytest.mark.nested
__all__ = ["restless"]


def test_post_copy_over_a_link_that_was_cut_goes_on_when_it_is_back(
    lab: Lab, restless: str
) -> None:
    source, destination, moving = split(lab, restless)
    lab.tool("cut", source.name, "--plane", "migration")
    paused = moving.until(lambda view: view["state"] == "postcopy_paused")
    assert "interrupted" in paused["needs_attention"]
    lab.tool("heal", source.name, "--plane", "migration")
    moving.until(lambda view: view["state"] != "postcopy_paused", 150)
    tune(lab, moving, 0)
    ended = moving.until_ended()
    assert ended["state"] == "completed", moving.story()
    assert lab.home_of(restless) == destination
    verify(lab)

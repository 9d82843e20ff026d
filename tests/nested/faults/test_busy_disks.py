"""A guest that writes to its disk faster than the link carries moves all the same: its writes wait.

Part of the full sweep: it takes the copy some time to see that it does not gain on the guest.
"""

from __future__ import annotations

import pytest

from tests.nested.lab import Lab
from tests.nested.test_copied_disks import healthy, names
from tests.nested.verify import verify

pytestmark = pytest.mark.nested

BUSY = ("--memory", "128", "--writes", "1000", "--disk", "local:32:raw")
LINK_MBIT = 6


def test_a_disk_that_its_guest_outruns_is_mirrored_synchronously(lab: Lab) -> None:
    source, destination = lab.hosts
    guest = lab.boot("scribe", source, *BUSY)
    lab.tool("limit", source.name, str(LINK_MBIT))
    try:
        moving = lab.migrate(guest, destination)
        moving.until(
            lambda view: any(each["rule"] == "mirror_lags" for each in view["actions"]), 180
        )
        # The link is as slow as before; what the guest writes is there by the time it has written it.
        moving.until(lambda view: bool(view["memory_total"]), 180)
    finally:
        lab.tool("limit", source.name, "0")
    ended = moving.until_ended(120)

    assert ended["state"] == "completed", moving.story()
    assert "each write waits" in moving.story()
    assert lab.home_of(guest) == destination
    assert "scribe-vda" in names(destination)
    assert "scribe-vda" not in names(source)
    healthy(lab, guest)
    verify(lab)

    # What it writes is more than half of this: no time is lost on finding out.
    moving = lab.migrate(guest, source, "--bandwidth", "1")
    moving.until(lambda view: view["state"] == "running")
    assert "each write waits" in moving.story()
    assert lab.migrator("migration", "tune", moving.id, "--bandwidth", "0").status == 0
    ended = moving.until_ended(120)
    assert ended["state"] == "completed", moving.story()
    assert "restart" not in {each["action"] for each in ended["actions"]}
    verify(lab)
    lab.discard(guest)

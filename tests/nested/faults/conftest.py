"""What only the full sweep runs, and the larger fleet some of it needs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.nested.lab import Lab

collect_ignore = (
    []
    if os.environ.get("MIGRATOR_FAULTS") == "full"
    else [
        "test_rescue.py",
        "test_dead_agent.py",
        "test_dead_conductors.py",
        "test_busy_disks.py",
        "test_encrypted.py",
        "test_wrong_clocks.py",
        "test_lost_hosts.py",
        "test_media.py",
        "test_around_the_switch.py",
    ]
)


@pytest.fixture
def fleet() -> Iterator[Lab]:
    """Three hosts, three conductors."""
    options = ["--hosts", "3", "--broker", "rabbit", "--conductors", "3"]
    lab = Lab(f"f{os.getpid()}", options)
    try:
        lab.up()
        yield lab
    finally:
        lab.tool("down")

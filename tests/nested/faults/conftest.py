"""What only the full sweep runs, its shards, and the larger fleet some of it needs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every so-manyth test is this shard's."""
    number, _, shards = os.environ.get("MIGRATOR_FAULTS_SHARD", "1/1").partition("/")
    sweep = [each for each in items if Path(__file__).parent in each.path.parents]
    mine = sweep[int(number) - 1 :: int(shards)]
    others = [each for each in sweep if each not in mine]
    items[:] = [each for each in items if each not in others]
    config.hook.pytest_deselected(items=others)


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

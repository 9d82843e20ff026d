"""The two hosts that the Hypervisor contract runs on, for every module here."""

from __future__ import annotations

import os

import pytest

from tests.contract.hypervisor_fixtures import lab, world

__all__ = ["lab", "world"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is slow on real hosts, and told there by another test as well, is left to the full sweep."""
    if os.environ.get("MIGRATOR_FAULTS") == "full":
        return
    slow = [
        each
        for each in items
        if each.get_closest_marker("sweep") is not None
        and each.get_closest_marker("nested") is not None
    ]
    if slow:
        config.hook.pytest_deselected(items=slow)
        items[:] = [each for each in items if each not in slow]

"""Agents over fake hosts, started for one test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.functional.agent.world import World


@pytest.fixture
def world() -> Iterator[World]:
    """Two hosts with agents, and one guest on h1."""
    built = World()
    built.add_guest()
    built.start()
    yield built
    built.stop()

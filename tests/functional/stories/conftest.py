"""The whole service, started for one test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from migrator.rpc import Bus
from tests.functional.stories.fleet import ServiceUnderTest


@pytest.fixture
def bus() -> Iterator[Bus]:
    """An in-process transport of the test's own."""
    from oslo_config import cfg
    from oslo_messaging import conffixture

    with conffixture.ConfFixture(cfg.CONF):
        opened = Bus.open(cfg.CONF, f"inproc:///{uuid.uuid4()}")
        yield opened
        opened.close()


@pytest.fixture
def service(tmp_path: Path, bus: Bus) -> Iterator[ServiceUnderTest]:
    """Two hosts."""
    with ServiceUnderTest(tmp_path, bus) as started:
        yield started

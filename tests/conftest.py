"""What every test shares."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

import migrator  # noqa: F401  # keeps eventlet out before any library could load it

# A busy machine is slow, and no failure. A gate tries the same examples every time; new ones are
# looked for where somebody can look at what was found.
settings.register_profile("migrator", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("migrator")

REQUIRED_BY = {"nested": "MIGRATOR_REQUIRE_NESTED", "broker": "MIGRATOR_REQUIRE_BROKER"}
"""marker -> the variable under which a skipped test of that marker is a failure."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> object:
    """A test that was asked for and did not run is no success."""
    report = yield
    for marker, variable in REQUIRED_BY.items():
        if report.skipped and item.get_closest_marker(marker) and os.environ.get(variable):
            report.outcome = "failed"
            report.longrepr = f"skipped although {variable} is set: {report.longrepr}"
    return report

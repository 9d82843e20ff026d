"""The two hosts that the Hypervisor contract runs on, for every module here."""

from __future__ import annotations

from tests.contract.hypervisor_fixtures import lab, world

__all__ = ["lab", "world"]

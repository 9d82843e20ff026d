"""Verification over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.api.asks import VerifyAll
from migrator.messages import Verified, Verify

if TYPE_CHECKING:
    from migrator.conductor.rpcapi import ConductorApi


def verify(conductor: ConductorApi, ask: VerifyAll) -> Verified:
    return conductor.verify(Verify(repair=ask.repair))

"""Storage pools over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.api.asks import Nothing, OnePool
from migrator.messages import Empty, PoolList, PoolOnHosts, PoolRef

if TYPE_CHECKING:
    from migrator.conductor.rpcapi import ConductorApi


def index(conductor: ConductorApi, ask: Nothing) -> PoolList:
    return conductor.list_pools(Empty())


def show(conductor: ConductorApi, ask: OnePool) -> PoolOnHosts:
    return conductor.show_pool(PoolRef(name=ask.name))

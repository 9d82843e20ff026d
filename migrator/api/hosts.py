"""Hosts over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.api.asks import ChangeHost, Nothing, OneHost
from migrator.messages import Empty, HostList, HostRef, HostView, SetHost

if TYPE_CHECKING:
    from migrator.conductor.rpcapi import ConductorApi


def index(conductor: ConductorApi, ask: Nothing) -> HostList:
    return conductor.list_hosts(Empty())


def show(conductor: ConductorApi, ask: OneHost) -> HostView:
    return conductor.show_host(HostRef(name=ask.name))


def change(conductor: ConductorApi, ask: ChangeHost) -> HostView:
    return conductor.set_host(SetHost(name=ask.name, state=ask.state))

"""Hosts over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.api.asks import ChangeHost, Nothing, OneHost
from migrator.messages import Empty, HostList, HostRef, HostView, LabelHost, SetHost

if TYPE_CHECKING:
    from migrator.conductor.rpcapi import ConductorApi


def index(conductor: ConductorApi, ask: Nothing) -> HostList:
    return conductor.list_hosts(Empty())


def show(conductor: ConductorApi, ask: OneHost) -> HostView:
    return conductor.show_host(HostRef(name=ask.name))


def change(conductor: ConductorApi, ask: ChangeHost) -> HostView:
    view: HostView | None = None
    if ask.tags is not None or ask.zone is not None:
        # First: a wrong label is refused before the host's state is changed.
        view = conductor.label_host(LabelHost(name=ask.name, tags=ask.tags, zone=ask.zone))
    if ask.state is not None:
        view = conductor.set_host(SetHost(name=ask.name, state=ask.state))
    assert view is not None
    return view

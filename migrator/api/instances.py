"""Instances over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.api.asks import ChangeInstance, Nothing, OneInstance
from migrator.messages import Empty, InstanceList, InstanceView, NamedInstance, SetInstance

if TYPE_CHECKING:
    from migrator.conductor.rpcapi import ConductorApi


def index(conductor: ConductorApi, ask: Nothing) -> InstanceList:
    return conductor.list_instances(Empty())


def show(conductor: ConductorApi, ask: OneInstance) -> InstanceView:
    return conductor.show_instance(NamedInstance(instance=ask.id))


def change(conductor: ConductorApi, ask: ChangeInstance) -> InstanceView:
    return conductor.set_instance(SetInstance(instance=ask.id, host=ask.host))

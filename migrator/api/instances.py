"""Instances over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.api.asks import ChangeInstance, Nothing, OneInstance
from migrator.messages import (
    AssignProfile,
    Empty,
    InstanceList,
    InstanceView,
    NamedInstance,
    SetInstance,
    WishInstance,
)

if TYPE_CHECKING:
    from migrator.conductor.rpcapi import ConductorApi


OTHERS = frozenset({"id", "host", "profile"})
"""Fields of a change that are no wishes."""


def index(conductor: ConductorApi, ask: Nothing) -> InstanceList:
    return conductor.list_instances(Empty())


def show(conductor: ConductorApi, ask: OneInstance) -> InstanceView:
    return conductor.show_instance(NamedInstance(instance=ask.id))


def change(conductor: ConductorApi, ask: ChangeInstance) -> InstanceView:
    wishes = {name: getattr(ask, name) for name in ask.__struct_fields__ if name not in OTHERS}
    view: InstanceView | None = None
    if any(value is not None for value in wishes.values()):
        view = conductor.wish(WishInstance(instance=ask.id, **wishes))
    if ask.host is not None:
        view = conductor.set_instance(SetInstance(instance=ask.id, host=ask.host))
    if ask.profile is not None:
        view = conductor.assign_profile(AssignProfile(instance=ask.id, profile=ask.profile or None))
    assert view is not None
    return view

"""Profiles over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from migrator.api.asks import ChangeProfile, NewProfile, Nothing, OneProfile
from migrator.messages import Empty, ProfileList, ProfileRef, ProfileView, PutProfile

if TYPE_CHECKING:
    from migrator.conductor.rpcapi import ConductorApi


def index(conductor: ConductorApi, ask: Nothing) -> ProfileList:
    return conductor.list_profiles(Empty())


def show(conductor: ConductorApi, ask: OneProfile) -> ProfileView:
    return conductor.show_profile(ProfileRef(name=ask.name))


def create(conductor: ConductorApi, ask: NewProfile) -> ProfileView:
    return conductor.create_profile(_put(ask))


def change(conductor: ConductorApi, ask: ChangeProfile) -> ProfileView:
    return conductor.set_profile(_put(ask))


def delete(conductor: ConductorApi, ask: OneProfile) -> Empty:
    return conductor.delete_profile(ProfileRef(name=ask.name))


def _put(ask: ChangeProfile) -> PutProfile:
    return PutProfile(**msgspec.structs.asdict(ask))

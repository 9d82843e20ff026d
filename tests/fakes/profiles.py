"""Profiles in memory."""

from __future__ import annotations

from collections.abc import Mapping

from migrator.errors import Refused
from migrator.model import PRESETS, Profile


class MemoryProfiles:
    """:class:`migrator.conductor.ports.ProfileStore`; ``used`` are those an instance has."""

    def __init__(self, used: frozenset[str] = frozenset({"used"})) -> None:
        self._used = used
        self._made: dict[str, Profile] = {}

    def all(self) -> Mapping[str, Profile]:
        return {**self._made, **{each.name: each for each in PRESETS}}

    def create(self, profile: Profile) -> None:
        if profile.name in self._made:
            raise Refused("profile.exists", f"there is a profile {profile.name} already")
        self._made[profile.name] = profile

    def change(self, profile: Profile) -> None:
        self._made[profile.name] = profile

    def delete(self, name: str) -> None:
        if name not in self._made:
            raise Refused("profile.unknown", f"there is no profile {name!r}")
        if name in self._used:
            raise Refused("profile.in_use", f"profile {name} is the one of g1")
        del self._made[name]

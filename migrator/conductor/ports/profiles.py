"""Profiles by their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from migrator.model import Profile


class ProfileStore(Protocol):
    """What disturbance instances tolerate, by name."""

    def all(self) -> Mapping[str, Profile]:
        """Those that are built in and those that were made."""
        ...

    def create(self, profile: Profile) -> None:
        """:raises Refused: ``profile.exists``."""
        ...

    def change(self, profile: Profile) -> None:
        """:raises Refused: ``profile.unknown``."""
        ...

    def delete(self, name: str) -> None:
        """:raises Refused: ``profile.unknown``, ``profile.in_use``."""
        ...

"""Profiles for operators: listed, made, changed, deleted."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from migrator.conductor.ports import ProfileStore
from migrator.conductor.profiles import BUILT_IN, check, find, refuse_built_in
from migrator.errors import Refused
from migrator.messages import Empty, ProfileList, ProfileRef, ProfileView, PutProfile
from migrator.model import STRICT, OnDeadline, Profile

LIMITS = frozenset(
    {"deadline_s", "deadline_per_gib", "bandwidth_mib_s", "postcopy_bandwidth_mib_s"}
)
"""What may be absent."""


class ProfileBook:
    """One verb for each that operators have."""

    def __init__(self, store: ProfileStore) -> None:
        self._store = store

    def list(self) -> ProfileList:
        return ProfileList(profiles=[profile_view(each) for each in self._store.all().values()])

    def show(self, request: ProfileRef) -> ProfileView:
        return profile_view(find(request.name, self._store.all()))

    def create(self, request: PutProfile) -> ProfileView:
        refuse_built_in(request.name)
        like = STRICT if request.like is None else find(request.like, self._store.all())
        made = changed(replace(like, name=request.name), request)
        self._store.create(made)
        return profile_view(made)

    def change(self, request: PutProfile) -> ProfileView:
        refuse_built_in(request.name)
        made = changed(find(request.name, self._store.all()), request)
        self._store.change(made)
        return profile_view(made)

    def delete(self, request: ProfileRef) -> Empty:
        refuse_built_in(request.name)
        self._store.delete(request.name)
        return Empty()


def changed(profile: Profile, asked: PutProfile) -> Profile:
    """With what is asked for. :raises Refused: ``request.invalid``."""
    changes: dict[str, Any] = {}
    for field in fields(Profile):
        value = None if field.name == "name" else getattr(asked, field.name)
        if value is not None:
            changes[field.name] = None if field.name in LIMITS and value == 0 else value
    if "on_deadline" in changes:
        changes["on_deadline"] = on_deadline(changes["on_deadline"])
    made = replace(profile, **changes)
    check(made)
    return made


def on_deadline(word: str) -> OnDeadline:
    """:raises Refused: ``request.invalid``."""
    if word not in set(OnDeadline):
        raise Refused(
            "request.invalid",
            f"on_deadline cannot be {word!r}; there are: {', '.join(OnDeadline)}",
            field="on_deadline",
        )
    return OnDeadline(word)


def profile_view(profile: Profile) -> ProfileView:
    values = {field.name: getattr(profile, field.name) for field in fields(Profile)}
    built_in = BUILT_IN.get(profile.name) == profile
    return ProfileView(**{**values, "built_in": built_in, "on_deadline": str(profile.on_deadline)})

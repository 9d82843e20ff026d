"""Profiles in the database."""

from __future__ import annotations

import dataclasses

import pytest

from migrator.errors import Refused
from migrator.model import PRESETS, OnDeadline, Profile
from tests.contract.database_world import World

pytest_plugins = ["tests.contract.database_fixtures"]

OWN = Profile("own", 250, allow_pause=True, deadline_per_gib=9, on_deadline=OnDeadline.FORCE)


def test_profiles_are_kept_changed_and_deleted(world: World) -> None:
    profiles = world.stores.profiles
    assert list(profiles.all()) == [each.name for each in PRESETS]
    profiles.create(OWN)
    changed = dataclasses.replace(OWN, bandwidth_mib_s=7)
    profiles.change(changed)
    assert profiles.all()["own"] == changed
    profiles.delete("own")
    assert "own" not in profiles.all()


def test_a_name_is_given_once(world: World) -> None:
    world.stores.profiles.create(OWN)
    with pytest.raises(Refused) as refused:
        world.stores.profiles.create(OWN)
    assert refused.value.code == "profile.exists"


@pytest.mark.parametrize("verb", ["change", "delete"])
def test_one_that_is_not_there_cannot_be_changed_or_deleted(world: World, verb: str) -> None:
    with pytest.raises(Refused) as refused:
        getattr(world.stores.profiles, verb)(OWN if verb == "change" else "own")
    assert refused.value.code == "profile.unknown"


def test_one_that_an_instance_has_stays_until_the_instance_gets_another(world: World) -> None:
    world.stores.profiles.create(OWN)
    instance = world.instance()
    world.stores.instances.set_profile(instance.id, "own")
    with pytest.raises(Refused) as refused:
        world.stores.profiles.delete("own")
    assert refused.value.code == "profile.in_use"
    assert refused.value.facts["instances"] == [instance.name]
    world.stores.instances.save(instance, use_claim=True)
    kept = world.stores.instances.get(instance.id)
    assert kept is not None
    assert kept.profile == "own"
    world.stores.instances.set_profile(instance.id, None)
    world.stores.profiles.delete("own")

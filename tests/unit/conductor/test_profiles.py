"""Which tolerances a migration gets."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from migrator.conductor.profile_book import changed, profile_view
from migrator.conductor.profiles import BUILT_IN, check, refuse_built_in, resolve
from migrator.errors import Refused
from migrator.messages import PutProfile
from migrator.model import BALANCED, GUARANTEED, STRICT, MigrationRequest, OnDeadline, Profile

OWN = Profile("own", deadline_per_gib=20, allow_pause=True, allow_postcopy=True)
KNOWN = {**BUILT_IN, "own": OWN}


@pytest.mark.parametrize(
    ("asked", "instance", "default", "name"),
    [
        ("strict", "own", "balanced", "strict"),
        (None, "own", "balanced", "own"),
        (None, None, "guaranteed", "guaranteed"),
    ],
)
def test_the_operation_comes_before_the_instance_and_that_before_the_default(
    asked: str | None, instance: str | None, default: str, name: str
) -> None:
    request = MigrationRequest("g1", profile=asked)
    assert resolve(request, instance, default, KNOWN) == KNOWN[name]


def test_what_the_operation_says_itself_replaces_the_profiles_own() -> None:
    request = MigrationRequest(
        "g1",
        deadline_s=60,
        on_deadline=OnDeadline.FORCE,
        bandwidth_mib_s=100,
        postcopy_bandwidth_mib_s=50,
    )
    resolved = resolve(request, "own", "balanced", KNOWN)
    assert resolved == dataclasses.replace(
        OWN,
        deadline_s=60,
        deadline_per_gib=None,
        on_deadline=OnDeadline.FORCE,
        bandwidth_mib_s=100,
        postcopy_bandwidth_mib_s=50,
    )


@pytest.mark.parametrize(
    ("request_", "instance", "code"),
    [
        (MigrationRequest("g1", profile="none"), None, "profile.unknown"),
        (MigrationRequest("g1"), "gone", "profile.unknown"),
        (MigrationRequest("g1", on_deadline=OnDeadline.FORCE), None, "request.invalid"),
    ],
)
def test_what_cannot_be_resolved_is_refused(
    request_: MigrationRequest, instance: str | None, code: str
) -> None:
    with pytest.raises(Refused) as refused:
        resolve(request_, instance, "balanced", KNOWN)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("profile", "size_gib", "deadline"),
    [
        (Profile("p"), 10, None),
        (Profile("p", deadline_s=100), 10, 100.0),
        (Profile("p", deadline_per_gib=5), 10, 50.0),
        (Profile("p", deadline_per_gib=5), 0.1, 5.0),
        (Profile("p", deadline_s=30, deadline_per_gib=5), 10, 30.0),
    ],
)
def test_the_earlier_deadline_counts(
    profile: Profile, size_gib: float, deadline: float | None
) -> None:
    assert profile.deadline_for(int(size_gib * (1 << 30))) == deadline


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Not Good"},
        {"name": ""},
        {"name": "x" * 64},
        {"max_downtime_ms": 0},
        {"max_downtime_ms": 2_000_001},
        {"deadline_s": 0},
        {"deadline_per_gib": -1},
        {"bandwidth_mib_s": 0},
        {"postcopy_bandwidth_mib_s": 5},
    ],
)
def test_a_profile_that_makes_no_sense_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        check(dataclasses.replace(STRICT, **{"name": "mine", **changes}))
    assert refused.value.facts["field"] in changes


def test_presets_make_sense_and_never_change() -> None:
    for preset in BUILT_IN.values():
        check(preset)
        assert profile_view(preset).built_in
        with pytest.raises(Refused) as refused:
            refuse_built_in(preset.name)
        assert refused.value.code == "profile.built_in"


def test_a_change_leaves_what_it_does_not_name_and_zero_takes_a_limit_away() -> None:
    limited = dataclasses.replace(GUARANTEED, name="mine", deadline_s=60, bandwidth_mib_s=10)
    made = changed(limited, PutProfile(name="mine", deadline_s=0, max_downtime_ms=100))
    assert made == dataclasses.replace(limited, deadline_s=None, max_downtime_ms=100)


def test_a_word_for_the_deadline_that_is_none_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        changed(BALANCED, PutProfile(name="mine", on_deadline="explode"))
    assert refused.value.facts["field"] == "on_deadline"

"""Guests that stay apart are brought together by force only, and that is on record."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.nested.lab import Lab
from tests.nested.verify import verify

pytestmark = pytest.mark.nested


@pytest.fixture
def apart(lab: Lab, roamer: str) -> Iterator[str]:
    """``loner`` is where the roamer is not, and both are of a group that stays apart."""
    lab.boot("loner", lab.other(lab.home_of(roamer)), "--memory", "96")
    for guest in (roamer, "loner"):
        done = lab.migrator("instance", "set", guest, "--anti-affinity", "replicas")
        assert done.status == 0, done.err
    yield roamer
    lab.discard("loner")
    lab.migrator("instance", "set", roamer, "--clear", "anti-affinity")


def test_a_group_that_stays_apart_is_left_apart_unless_forced(lab: Lab, apart: str) -> None:
    there = lab.home_of("loner")
    named = lab.migrator("migrate", apart, "--host", there.name)
    assert (named.status, named.code) == (2, "affinity.together"), named.err
    assert "replicas" in named.err
    anywhere = lab.migrator("migrate", apart)
    assert (anywhere.status, anywhere.code) == (2, "host.none_fits"), anywhere.err

    reason = "rack 4 is being rewired"
    moved = lab.move(apart, there, "--force", "--reason", reason)

    assert (moved["mode"], moved["destination"]) == ("force", there.name)
    forced = lab.migrator("migration", "list", "--forced", "-f", "json").json
    (listed,) = [each for each in forced if each["id"] == moved["id"]]
    assert listed["actions"][0]["result"] == reason
    verify(lab)

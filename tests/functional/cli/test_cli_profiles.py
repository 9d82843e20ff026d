"""``migrator profile`` and what refers to profiles."""

from __future__ import annotations

import json

import pytest

from tests.functional.cli.terminal import Terminal


def test_presets_are_listed_with_what_they_permit(terminal: Terminal) -> None:
    shown = terminal.run("profile", "list")
    assert shown.code == 0
    for name in ("strict", "balanced", "guaranteed", "offline-ok"):
        assert name in shown.out
    assert "postcopy, pause" in shown.out


def test_a_profile_is_made_changed_given_and_deleted(terminal: Terminal) -> None:
    made = terminal.run(
        "profile", "create", "mine", "--like", "guaranteed", "--no-pause", "-f", "json"
    )
    assert made.code == 0
    document = json.loads(made.out)
    assert document["allow_postcopy"] is True
    assert document["allow_pause"] is False
    assert document["built_in"] is False
    changed = terminal.run("profile", "set", "mine", "--deadline", "60", "--on-deadline", "force")
    assert changed.code == 0
    given = terminal.run("instance", "set", "g1", "--profile", "mine")
    assert "its profile is mine" in given.out
    taken = terminal.run("instance", "set", "g1", "--clear", "profile", "-f", "json")
    assert json.loads(taken.out)["profile"] is None
    shown = terminal.run("profile", "show", "mine")
    assert "60" in shown.out
    assert terminal.run("profile", "delete", "mine").code == 0
    assert terminal.run("profile", "show", "mine").code == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("profile create strict", "profile.built_in"),
        ("profile set balanced --pause", "profile.built_in"),
        ("profile delete guaranteed", "profile.built_in"),
        ("profile show nobody", "profile.unknown"),
        ("profile delete nobody", "profile.unknown"),
        ("profile create mine --like nobody", "profile.unknown"),
        ("profile create mine --max-downtime 0", "request.invalid"),
        ("profile create mine --postcopy-bandwidth 5", "request.invalid"),
        ("profile create MINE", "request.invalid"),
        ("profile create mine --on-deadline explode", "request.invalid"),
        ("instance set g1 --profile nobody", "profile.unknown"),
        ("migrate g1 --profile nobody", "profile.unknown"),
        ("migrate g1 --profile nobody --dry-run", "profile.unknown"),
        ("migrate g1 --deadline 0", "request.invalid"),
        ("migrate g1 --on-deadline maybe", "request.invalid"),
    ],
)
def test_what_cannot_be_is_refused_with_its_code(terminal: Terminal, words: str, code: str) -> None:
    refused = terminal.run(*words.split())
    assert refused.code == 2
    assert refused.err.startswith(f"{code}: ")

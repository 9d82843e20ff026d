"""Failures keep class, code, sentence and facts wherever they travel."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.errors import (
    CODES,
    Broken,
    Fenced,
    MigratorError,
    Refused,
    Transient,
    error_from_dict,
)

CLASSES: list[type[MigratorError]] = [Refused, Fenced, Transient, Broken]


def travelled(error: MigratorError) -> MigratorError:
    return error_from_dict(json.loads(json.dumps(error.to_dict())))


def test_the_codes_are_sorted_and_spelled_alike() -> None:
    assert list(CODES) == sorted(CODES)
    assert all(re.fullmatch(r"[a-z]+(\.[a-z_]+)?", code) for code in CODES)


def test_every_code_has_a_status_that_says_whose_turn_it_is() -> None:
    assert set(CODES.values()) <= {400, 404, 409, 413, 422, 500, 503}


@pytest.mark.parametrize("code", CODES)
def test_a_failure_answers_with_the_status_of_its_code(code: str) -> None:
    assert Refused(code, "why").http_status == CODES[code]


def test_an_unregistered_code_cannot_be_raised() -> None:
    with pytest.raises(ValueError, match=r"made\.up"):
        Refused("made.up", "why")


def test_a_failure_reads_as_its_code_and_its_sentence() -> None:
    assert str(Refused("host.unknown", "there is no host h9")) == (
        "host.unknown: there is no host h9"
    )


def test_being_fenced_is_being_refused() -> None:
    assert isinstance(Fenced("command.stale", "another leads"), Refused)


@pytest.mark.parametrize("cls", CLASSES)
@given(
    message=st.text(),
    facts=st.dictionaries(
        st.text() | st.sampled_from(["self", "code", "message"]),
        st.none() | st.integers() | st.text() | st.lists(st.integers()),
    ),
)
def test_a_failure_arrives_as_it_was_sent(
    cls: type[MigratorError], message: str, facts: dict[str, Any]
) -> None:
    sent = cls("pool.missing", message, **facts)
    arrived = travelled(sent)
    assert type(arrived) is cls
    assert arrived.to_dict() == sent.to_dict()


@pytest.mark.parametrize("cls", CLASSES)
def test_a_code_of_a_newer_release_becomes_internal_and_keeps_its_name(
    cls: type[MigratorError],
) -> None:
    document = {**cls("internal", "why", pool="p").to_dict(), "code": "pool.newer"}
    arrived = error_from_dict(document)
    assert type(arrived) is cls
    assert arrived.code == "internal"
    assert arrived.message == "pool.newer: why"
    assert arrived.facts == {"pool": "p", "code": "pool.newer"}


@pytest.mark.parametrize("document", [{}, {"class": "newer"}, {"facts": None}, {"code": None}])
def test_a_damaged_failure_is_still_a_failure(document: dict[str, Any]) -> None:
    arrived = error_from_dict(document)
    assert type(arrived) is Broken
    assert arrived.code == "internal"


def test_a_class_of_ones_own_travels_as_broken() -> None:
    class Homemade(MigratorError):
        """Not one of the four."""

    assert type(travelled(Homemade("internal", "why"))) is Broken

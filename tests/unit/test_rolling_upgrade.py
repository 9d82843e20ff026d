"""A peer one revision behind is understood, or refused with the reason; never misunderstood.

``message_fingerprints_previous.json`` is the shape of the messages as that revision spoke them. With
each release it becomes a copy of the pinned one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from migrator.messages import Message
from tests.unit.fingerprints import breaking_changes, current, message_types
from tests.unit.test_messages import example

PREVIOUS: dict[str, Any] = json.loads(
    Path(__file__).with_name("message_fingerprints_previous.json").read_text()
)
SPOKEN_THEN = [cls for cls in message_types() if cls.__name__ in PREVIOUS["types"]]


def as_spoken_then(body: Any, cls: type) -> Any:
    """The message without what was added since."""
    known = PREVIOUS["types"][cls.__name__]
    return {name: value for name, value in body.items() if name in known}


def test_nothing_that_the_previous_revision_says_has_changed_its_meaning() -> None:
    assert breaking_changes(PREVIOUS, current()) == []


@pytest.mark.parametrize("cls", SPOKEN_THEN)
@pytest.mark.parametrize("every_field", [True, False])
def test_a_message_of_the_previous_revision_is_understood(
    cls: type[Message], every_field: bool
) -> None:
    body = as_spoken_then(example(cls, every_field), cls)
    understood = msgspec.convert(body, cls, str_keys=True)
    again = msgspec.to_builtins(understood, str_keys=True)
    # A time may be written in two ways.
    plain = {
        name: value
        for name, value in body.items()
        if not isinstance(value, dict | list) and not name.endswith("at")
    }
    assert {name: again[name] for name in plain} == plain


def test_something_was_spoken_then_and_something_was_added_since() -> None:
    assert len(SPOKEN_THEN) > 30
    assert len(message_types()) > len(SPOKEN_THEN)

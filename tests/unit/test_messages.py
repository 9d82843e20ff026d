"""What crosses a wire only ever grows, and two releases that differ by what was added still talk."""

from __future__ import annotations

import copy
import enum
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import inspect

from migrator.messages import AGENT_METHODS, CONDUCTOR_METHODS, Command, Message
from tests.unit.fingerprints import (
    PINNED,
    REQUIRED,
    Fingerprint,
    breaking_changes,
    current,
    message_types,
    pinned,
    wire_types,
    written,
)
from tests.unit.update_fingerprints import update

REMEDY = "run: python -m tests.unit.update_fingerprints"
NEWER = {"added_by_a_newer_release": {"deep": [1, 2]}}


def test_only_additions_were_made_since_the_messages_were_pinned() -> None:
    assert breaking_changes(pinned(), current()) == []


def test_the_pinned_shape_is_current() -> None:
    assert PINNED.read_text() == written(current()), REMEDY


# -- the rule itself


def _drop_method(shape: Any) -> None:
    del shape["methods"]["agent.abort"]


def _change_method(shape: Any) -> None:
    shape["methods"]["agent.abort"] = "Empty -> Aborted"


def _drop_type(shape: Any) -> None:
    del shape["types"]["Migrate"]


def _drop_field(shape: Any) -> None:
    del shape["types"]["Migrate"]["reason"]


def _rename_field(shape: Any) -> None:
    shape["types"]["Migrate"]["why"] = shape["types"]["Migrate"].pop("reason")


def _change_field(shape: Any) -> None:
    shape["types"]["Migrate"]["priority"]["type"] = "str"


def _change_default(shape: Any) -> None:
    shape["types"]["Migrate"]["priority"]["default"] = "1"


def _require_field(shape: Any) -> None:
    shape["types"]["Migrate"]["priority"]["default"] = REQUIRED


def _add_required_field(shape: Any) -> None:
    shape["types"]["Migrate"]["added"] = {"type": "str", "default": REQUIRED}


def _drop_enum_value(shape: Any) -> None:
    shape["enums"]["DomainState"].remove("running")


def _add_enum_value(shape: Any) -> None:
    shape["enums"]["DomainState"].append("levitating")


BREAKING: list[Callable[[Any], None]] = [
    _drop_method,
    _change_method,
    _drop_type,
    _drop_field,
    _rename_field,
    _change_field,
    _change_default,
    _require_field,
    _add_required_field,
    _drop_enum_value,
    _add_enum_value,
]


def _add_field(shape: Any) -> None:
    shape["types"]["Migrate"]["added"] = {"type": "null | str", "default": "null"}


def _add_type(shape: Any) -> None:
    shape["types"]["Newer"] = {"id": {"type": "str", "default": REQUIRED}}


def _add_enum(shape: Any) -> None:
    shape["enums"]["Newer"] = ["a"]


def _add_method(shape: Any) -> None:
    shape["methods"]["agent.newer"] = "Empty -> Empty"


def changed(change: Callable[[Any], None]) -> Fingerprint:
    shape = copy.deepcopy(dict(current()))
    change(shape)
    return shape


@pytest.mark.parametrize("change", BREAKING)
def test_what_an_older_peer_would_not_survive_is_refused(
    change: Callable[[Any], None], tmp_path: Path
) -> None:
    target = tmp_path / "pinned.json"
    assert breaking_changes(current(), changed(change))
    assert update(target, current(), changed(change))
    assert not target.exists()


@pytest.mark.parametrize("change", [_add_field, _add_type, _add_enum, _add_method])
def test_additions_are_pinned(change: Callable[[Any], None], tmp_path: Path) -> None:
    target = tmp_path / "pinned.json"
    assert update(target, current(), changed(change)) == []
    assert json.loads(target.read_text()) == changed(change)


def test_a_new_major_version_may_break_with_the_old(tmp_path: Path) -> None:
    def next_major(shape: Any) -> None:
        _drop_field(shape)
        shape["rpc_version"] = "2.0"

    assert update(tmp_path / "pinned.json", current(), changed(next_major)) == []


# -- the messages


@pytest.mark.parametrize("cls", message_types())
def test_a_message_arrives_as_it_was_sent(cls: type[Message]) -> None:
    for every_field in (True, False):
        body = example(cls, every_field)
        message = msgspec.convert(body, cls, str_keys=True)
        sent = json.dumps(msgspec.to_builtins(message, str_keys=True))
        assert msgspec.convert(json.loads(sent), cls, str_keys=True) == message


@pytest.mark.parametrize("cls", message_types())
def test_what_a_newer_peer_added_is_ignored_at_every_depth(cls: type[Message]) -> None:
    body = example(cls, every_field=True)
    message = msgspec.convert(body, cls, str_keys=True)
    assert msgspec.convert(with_additions(body, cls), cls, str_keys=True) == message


@pytest.mark.parametrize("cls", message_types())
def test_a_field_that_is_missing_without_a_default_is_refused(cls: type[Message]) -> None:
    body = example(cls, every_field=False)
    for name in body:
        with pytest.raises(msgspec.ValidationError, match=name):
            msgspec.convert({key: body[key] for key in body if key != name}, cls, str_keys=True)


def test_a_message_cannot_be_changed_on_its_way() -> None:
    assert all(cls.__struct_config__.frozen for cls in message_types())


def test_every_message_is_part_of_a_method() -> None:
    """What nobody sends is no message."""
    used: set[type] = {Command}
    for method in (*AGENT_METHODS, *CONDUCTOR_METHODS):
        used |= types_of(method.request) | types_of(method.reply)
    assert {cls for cls in message_types() if cls not in used} == set()


def test_a_state_changing_command_says_whose_and_which_it_is() -> None:
    commands = [method for method in AGENT_METHODS if issubclass(method.request, Command)]
    reads = {method.name for method in AGENT_METHODS} - {method.name for method in commands}
    assert reads == {
        "describe_source",
        "check_destination",
        "check_source",
        "inspect",
        "measure_dirty_rate",
        "streams",
        "list_domains",
    }


def types_of(cls: type) -> set[type]:
    return {cls} | {found for field in shape_of(cls).fields for found in _classes(field.type)}


def _classes(shape: inspect.Type) -> set[type]:
    if isinstance(shape, inspect.StructType | inspect.DataclassType):
        return types_of(shape.cls)
    found: set[type] = set()
    for inner in _inner(shape):
        found |= _classes(inner)
    return found


def _inner(shape: inspect.Type) -> list[inspect.Type]:
    if isinstance(shape, inspect.UnionType):
        return [*shape.types]
    if isinstance(shape, inspect.CollectionType):
        return [shape.item_type]
    if isinstance(shape, inspect.DictType):
        return [shape.value_type]
    return []


def shape_of(cls: type) -> inspect.StructType | inspect.DataclassType:
    shape = inspect.type_info(cls)
    assert isinstance(shape, inspect.StructType | inspect.DataclassType)
    return shape


def example(cls: type, every_field: bool) -> dict[str, Any]:
    """A body of that type as it looks on the wire; without ``every_field`` only what is required."""
    return {
        field.encode_name: value_of(field.type, every_field)
        for field in shape_of(cls).fields
        if every_field or field.required
    }


PLAIN: dict[type, Any] = {
    inspect.StrType: "text",
    inspect.IntType: 7,
    inspect.FloatType: 0.5,
    inspect.BoolType: True,
    inspect.NoneType: None,
    inspect.AnyType: "anything",
    inspect.DateTimeType: datetime(2024, 2, 29, 12, 30, tzinfo=UTC).isoformat(),
}


def value_of(shape: inspect.Type, every_field: bool) -> Any:
    if type(shape) in PLAIN:
        return PLAIN[type(shape)]
    if isinstance(shape, inspect.StructType | inspect.DataclassType):
        return example(shape.cls, every_field)
    if isinstance(shape, inspect.EnumType):
        members: list[enum.Enum] = [*shape.cls]
        return members[0].value
    if isinstance(shape, inspect.UnionType):
        some = [each for each in shape.types if not isinstance(each, inspect.NoneType)]
        return value_of(some[0], every_field)
    if isinstance(shape, inspect.DictType):
        return {"key": value_of(shape.value_type, every_field)}
    if isinstance(shape, inspect.TupleType):
        return [value_of(each, every_field) for each in shape.item_types]
    assert isinstance(shape, inspect.CollectionType), shape
    return [value_of(shape.item_type, every_field)]


def with_additions(body: Any, cls: type) -> Any:
    """The same body from a newer peer: one more field in each object that has a type."""
    fields = {field.encode_name: field.type for field in shape_of(cls).fields}
    return {name: _added(value, fields[name]) for name, value in body.items()} | NEWER


def _added(value: Any, shape: inspect.Type) -> Any:
    if isinstance(shape, inspect.StructType | inspect.DataclassType):
        return with_additions(value, shape.cls)
    if isinstance(shape, inspect.UnionType):
        some = [each for each in shape.types if not isinstance(each, inspect.NoneType)]
        return _added(value, some[0])
    if isinstance(shape, inspect.CollectionType):
        return [_added(each, shape.item_type) for each in value]
    return value


def test_the_dataclasses_and_enums_inside_messages_are_pinned_with_them() -> None:
    names = {cls.__name__ for cls in wire_types()}
    assert {"DomainView", "JobSample", "HostFacts", "DomainState", "Reason"} <= names

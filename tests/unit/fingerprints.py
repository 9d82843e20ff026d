"""The shape of everything that crosses a wire, and which changes of it two releases survive.

A fingerprint says of each type its fields, their types and defaults; of each enum its values; of each
RPC method what it takes and answers. The pinned one is ``message_fingerprints.json``.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import json
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from migrator import messages
from migrator.messages import AGENT_METHODS, CONDUCTOR_METHODS, RPC_VERSION, Message

PINNED = Path(__file__).with_name("message_fingerprints.json")
REQUIRED = "(required)"

Fingerprint = Mapping[str, Any]


def current() -> Fingerprint:
    """Of the code as it is."""
    found = sorted(wire_types(), key=lambda cls: cls.__name__)
    return {
        "rpc_version": RPC_VERSION,
        "methods": {
            **{f"agent.{each.name}": _method(each) for each in AGENT_METHODS},
            **{f"conductor.{each.name}": _method(each) for each in CONDUCTOR_METHODS},
        },
        "enums": {
            cls.__name__: sorted(str(member.value) for member in cls)
            for cls in found
            if issubclass(cls, enum.Enum)
        },
        "types": {cls.__name__: _fields(cls) for cls in found if not issubclass(cls, enum.Enum)},
    }


def pinned() -> Fingerprint:
    """Of the release two peers may still be talking with."""
    loaded: Fingerprint = json.loads(PINNED.read_text())
    return loaded


def written(fingerprint: Fingerprint) -> str:
    """As it stands in the file."""
    return json.dumps(fingerprint, indent=1, sort_keys=True) + "\n"


def message_types() -> list[type[Message]]:
    """Every message, the base excepted."""
    return [
        cls
        for _, cls in inspect.getmembers(messages, inspect.isclass)
        if issubclass(cls, Message) and cls is not Message
    ]


def wire_types() -> set[type]:
    """Every message, and every dataclass and enum that stands in one."""
    found: set[type] = set()
    waiting: list[type] = [*message_types()]
    while waiting:
        cls = waiting.pop()
        if cls not in found:
            found.add(cls)
            if not issubclass(cls, enum.Enum):
                for hint in typing.get_type_hints(cls).values():
                    waiting += _types_in(hint)
    return found


def breaking_changes(old: Fingerprint, new: Fingerprint) -> list[str]:
    """What a peer of the old release would not survive; empty when everything was only added.

    Everything is allowed when the major RPC version has grown: such peers refuse each other.
    """
    if _major(new) > _major(old):
        return []
    return [*_methods_broken(old, new), *_enums_broken(old, new), *_types_broken(old, new)]


def _methods_broken(old: Fingerprint, new: Fingerprint) -> Iterator[str]:
    for name, method in old["methods"].items():
        if name not in new["methods"]:
            yield f"method {name} is gone"
        elif new["methods"][name] != method:
            yield f"method {name} was {method} and is {new['methods'][name]}"


def _enums_broken(old: Fingerprint, new: Fingerprint) -> Iterator[str]:
    for name, values in old["enums"].items():
        for value in sorted({*values} ^ {*new["enums"].get(name, [])}):
            change = "is gone" if value in values else "is new, and an older peer cannot read it"
            yield f"value {value!r} of {name} {change}"


def _types_broken(old: Fingerprint, new: Fingerprint) -> Iterator[str]:
    for name, fields in old["types"].items():
        now = new["types"].get(name)
        if now is None:
            yield f"type {name} is gone"
            continue
        for field, shape in fields.items():
            if field not in now:
                yield f"field {name}.{field} is gone"
            elif now[field] != shape:
                yield f"field {name}.{field} was {shape} and is {now[field]}"
        for field in sorted({*now} - {*fields}):
            if now[field]["default"] == REQUIRED:
                yield f"field {name}.{field} is new and has no default"


def _major(fingerprint: Fingerprint) -> int:
    return int(str(fingerprint["rpc_version"]).partition(".")[0])


def _method(method: messages.Method) -> str:
    return f"{method.request.__name__} -> {method.reply.__name__}"


def _fields(cls: type) -> dict[str, dict[str, str]]:
    hints = typing.get_type_hints(cls)
    return {
        name: {"type": _spelled(hints[name]), "default": default}
        for name, default in _defaults(cls)
    }


def _defaults(cls: type) -> Iterator[tuple[str, str]]:
    if issubclass(cls, msgspec.Struct):
        for field in msgspec.structs.fields(cls):
            yield field.encode_name, _default(field.default, field.default_factory)
    elif dataclasses.is_dataclass(cls):
        for each in dataclasses.fields(cls):
            yield each.name, _default(each.default, each.default_factory)


def _default(value: Any, factory: Any) -> str:
    nothing = (msgspec.NODEFAULT, dataclasses.MISSING)
    if all(factory is not each for each in nothing):
        value = factory()
    if any(value is each for each in nothing):
        return REQUIRED
    return msgspec.json.encode(value).decode()


def _spelled(hint: Any) -> str:
    """A type as a reader of the contract would write it."""
    if isinstance(hint, type) and not typing.get_args(hint):
        return "null" if hint is type(None) else hint.__name__
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(sorted(_spelled(each) for each in inner))
    if not inner:
        return str(hint).removeprefix("typing.")
    return f"{origin.__name__}[{', '.join(_spelled(each) for each in inner)}]"


def _types_in(hint: Any) -> list[type]:
    """Dataclasses, messages and enums named anywhere in a type."""
    if inner := typing.get_args(hint):
        return [found for each in inner for found in _types_in(each)]
    named = isinstance(hint, type) and (
        dataclasses.is_dataclass(hint) or issubclass(hint, msgspec.Struct | enum.Enum)
    )
    return [hint] if named else []

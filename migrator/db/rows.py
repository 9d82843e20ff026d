"""Rows to values and back: the only place where a column's form and a field's form meet.

Columns are named as the fields are. Enums are stored by value, nested values as JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Row, Table
from sqlalchemy.sql.elements import ColumnElement

from migrator.first_use import prepare
from migrator.model import (
    Claim,
    DiskRecord,
    DomainSummary,
    Host,
    HostAddresses,
    InLine,
    Instance,
    LastReport,
    Migration,
    MigrationEvent,
    Placement,
    Profile,
    Todo,
)

T = TypeVar("T")
AnyRow = Row[*tuple[Any, ...]]
"""A row of any columns."""

_JOURNAL_OWNED = frozenset(
    {"id", "instance_id", "state", "created_at", "request_id", "epoch", "leader", "abort_by"}
    | {"force_by", "tuning"}
)

CHANGEABLE = frozenset(field.name for field in fields(Migration)) - _JOURNAL_OWNED
"""Fields of a migration that a leader may set beside its state."""


prepare(Claim, DiskRecord, DomainSummary, Host, InLine, Instance, Migration, MigrationEvent)
prepare(Profile, Todo)


def _from_row(cls: type[T], row: AnyRow) -> T:
    return msgspec.convert(_columns(row), cls)


def _columns(row: AnyRow) -> dict[str, Any]:
    # Names come as a subclass of str, which msgspec takes for something else.
    return {str(name): value for name, value in row._mapping.items()}


def model_columns(table: Table, cls: type[Any]) -> list[ColumnElement[Any]]:
    """The columns of ``table`` that ``cls`` has fields for."""
    names = {field.name for field in fields(cls)}
    return [column for column in table.columns if column.name in names]


def migration_from(row: AnyRow) -> Migration:
    return _from_row(Migration, row)


def in_line_from(row: AnyRow) -> InLine:
    return _from_row(InLine, row)


def event_from(row: AnyRow) -> MigrationEvent:
    return _from_row(MigrationEvent, row)


def profile_from(row: AnyRow) -> Profile:
    return _from_row(Profile, row)


def todo_from(row: AnyRow) -> Todo:
    return _from_row(Todo, row)


def claim_from(row: AnyRow) -> Claim:
    return _from_row(Claim, row)


def placement_from(column: object) -> Placement | None:
    """A claim's, as its column has it."""
    return None if column is None else msgspec.convert(column, Placement)


def instance_from(row: AnyRow) -> Instance:
    return _from_row(Instance, row)


def disk_from(row: AnyRow) -> DiskRecord:
    return _from_row(DiskRecord, row)


def last_report_from(row: AnyRow) -> LastReport:
    """A row of ``hosts`` with the computed columns ``alive`` and ``described``, and without facts."""
    return _host(row, LastReport)


def host_from(row: AnyRow) -> Host:
    """A row of ``hosts`` with the computed column ``alive``."""
    return _host(row, Host)


def _host(row: AnyRow, cls: type[T]) -> T:
    columns = _columns(row)
    addresses = {field.name: columns.pop(field.name) for field in fields(HostAddresses)}
    return msgspec.convert({**columns, "addresses": addresses}, cls)


def to_column(value: object) -> Any:
    """One field as its column takes it."""
    return value if isinstance(value, datetime) else msgspec.to_builtins(value)


def to_columns(value: object, leave_out: Iterable[str] = ()) -> dict[str, Any]:
    """A model value as columns."""
    skipped = frozenset(leave_out)
    return {
        field.name: to_column(getattr(value, field.name))
        for field in fields(value)  # type: ignore[arg-type]
        if field.name not in skipped
    }


def change_columns(changes: Mapping[str, Any]) -> dict[str, Any]:
    """``changes`` of a migration as columns.

    :raises TypeError: for a name that is no field or that the journal alone may set.
    """
    strange = sorted(changes.keys() - CHANGEABLE)
    if strange:
        raise TypeError(f"not changeable fields of a migration: {', '.join(strange)}")
    return {name: to_column(value) for name, value in changes.items()}


def storable(text: str) -> bool:
    """Whether both databases can hold it: no NUL, no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text

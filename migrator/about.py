"""Which migration the running worker is about; every line it logs says so.

with about(migration.id):
    ...
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_MIGRATION: ContextVar[str | None] = ContextVar("migration", default=None)


@contextmanager
def about(migration_id: str) -> Iterator[None]:
    """Everything within is about this migration."""
    token = _MIGRATION.set(migration_id)
    try:
        yield
    finally:
        _MIGRATION.reset(token)


def current() -> str | None:
    """The id; None outside of any."""
    return _MIGRATION.get()

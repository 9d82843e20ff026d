"""The schema's revision: bring a database up, and refuse one that does not fit.

alembic's own version table has a name of ours, because taskflow's migrations would otherwise find
their revision in the same table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Column, inspect
from sqlalchemy.engine import Connection

from migrator.db.engine import Database
from migrator.errors import Transient

VERSION_TABLE = "migrator_alembic_version"

_HERE = Path(__file__).parent / "alembic"


def default_differs(
    _context: object,
    _inspected: object,
    column: Column[Any],
    found: str | None,
    _wanted: object,
    rendered: str | None,
) -> bool | None:
    """For alembic's ``compare_server_default``: JSON by its text, because PostgreSQL has no ``=`` for
    it; None leaves every other type to alembic."""
    if not isinstance(column.type, JSON):
        return None
    return (found or "").removesuffix("::json") != (rendered or "")


def head() -> str:
    """The revision this release needs."""
    revision = ScriptDirectory(str(_HERE)).get_current_head()
    assert revision is not None
    return revision


def current(url: str) -> str | None:
    """The revision the database has; None for an empty one.

    :raises Transient: ``database.unreachable``.
    """
    database = Database(url)
    try:
        with database.reader() as connection:
            return _revision(connection)
    finally:
        database.close()


def upgrade(url: str) -> str:
    """Bring the database to :func:`head`, from empty or from any earlier revision; the revision.

    Nothing when it is there. :raises Transient: ``database.unreachable``, ``database.busy``,
        ``database.revision`` when a newer release has upgraded it.
    """
    database = Database(url)
    try:
        with database.reader() as connection:
            found = _revision(connection)
        if found is not None and found not in _known():
            raise _other_revision(found)
        with database.writer() as connection:
            config = Config()
            config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        with database.reader() as connection:
            return str(_revision(connection))
    finally:
        database.close()


def check(url: str) -> None:
    """:raises Transient: ``database.revision`` unless the database is at :func:`head`."""
    found = current(url)
    if found != head():
        raise _other_revision(found)


def _other_revision(found: str | None) -> Transient:
    wanted = head()
    if found is None or found in _known():
        state = "is empty" if found is None else f"is at revision {found}"
        advice = "run `migrator-manage db upgrade`"
    else:
        state = f"is at revision {found}, which this release does not know"
        advice = "it was upgraded by a newer migrator: install that release here"
    return Transient(
        "database.revision",
        f"the database {state}, and this release needs {wanted}; {advice}",
        found=found,
        wanted=wanted,
    )


def _known() -> frozenset[str]:
    return frozenset(script.revision for script in ScriptDirectory(str(_HERE)).walk_revisions())


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()

"""alembic's entry: runs revisions on the connection that :mod:`migrator.db.schema` opened.

``alembic revision --autogenerate`` is given one the same way; there is no alembic.ini, the one place
that knows a database's address is migrator's own configuration.
"""

from __future__ import annotations

from alembic import context

from migrator.db.schema import VERSION_TABLE, default_differs
from migrator.db.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    render_as_batch=True,
    compare_type=True,
    compare_server_default=default_differs,
)
with context.begin_transaction():
    context.run_migrations()

"""A broker and a database of the benchmark's own, gone afterwards."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.contract.database_fixtures import private_postgres
from tests.contract.transport_fixtures import RabbitNode


@contextlib.contextmanager
def database(kind: str, where: str) -> Iterator[str]:
    """The URL of an empty one: ``sqlite`` or ``postgresql``."""
    if kind == "sqlite":
        yield f"sqlite:///{where}/migrator.sqlite"
        return
    with private_postgres() as url:
        if url is None:
            raise SystemExit("PostgreSQL is not installed: tools/setup broker")
        yield url


@contextlib.contextmanager
def transport(kind: str) -> Iterator[str]:
    """The URL of one that nobody else uses: ``inproc`` or ``rabbit``."""
    if kind == "inproc":
        yield "inproc:///bench"
        return
    with tempfile.TemporaryDirectory(prefix="migrator-rabbit-") as home:
        node = RabbitNode(Path(home))
        try:
            node.start()
            yield node.url()
        finally:
            node.stop()

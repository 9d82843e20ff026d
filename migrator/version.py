"""The version that is installed."""

from __future__ import annotations

import functools
from importlib import metadata


@functools.cache
def version() -> str:
    """As the package was built, such as ``0.1.0``."""
    return metadata.version("migrator")

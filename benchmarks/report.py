"""A table of what was measured and what was promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One figure; ``kept`` None where nothing was promised."""

    what: str
    measured: str
    promised: str
    kept: bool | None


def print_rows(rows: Sequence[Row]) -> int:
    """Print them; 1 when a promise was broken."""
    widths = [max(len(getattr(row, name)) for row in rows) for name in ("what", "measured")]
    for row in rows:
        mark = {True: "kept", False: "BROKEN", None: ""}[row.kept]
        print(f"{row.what:{widths[0]}}  {row.measured:{widths[1]}}  {row.promised:18} {mark}")
    return int(any(row.kept is False for row in rows))

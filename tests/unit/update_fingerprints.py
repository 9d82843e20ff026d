"""Pin the shape of the messages anew, once something was added to them.

    python -m tests.unit.update_fingerprints

Refuses what a peer of the pinned release would not survive: a field, type, method or enum value that
is gone or changed, a new enum value, a new field without a default. Add beside it instead; or, where
old peers may be cut off, raise the major number of ``migrator.messages.RPC_VERSION``. Until the first
release nobody can have an older peer: delete message_fingerprints.json and run this.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.unit.fingerprints import (
    PINNED,
    Fingerprint,
    breaking_changes,
    current,
    pinned,
    written,
)


def update(path: Path, old: Fingerprint | None, new: Fingerprint) -> list[str]:
    """Write ``new`` unless it would break what ``old`` promises; the promises it would break."""
    broken = [] if old is None else breaking_changes(old, new)
    if not broken:
        path.write_text(written(new))
    return broken


def main() -> int:
    """Exit status: 0 written, 1 refused."""
    broken = update(PINNED, pinned() if PINNED.exists() else None, current())
    for change in broken:
        print(f"refused: {change}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

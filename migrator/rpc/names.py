"""What a process is called at the broker: its reply queues and its user are named after it."""

from __future__ import annotations

import re


def process_name(program: str, which: str) -> str:
    """Unique on its machine and the same after a restart."""
    return re.sub(r"[^a-z0-9]+", "-", f"{program} {which}".lower()).strip("-")

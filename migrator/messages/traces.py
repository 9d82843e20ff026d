"""What was decided about a running transfer, on its way into the migration's record."""

from __future__ import annotations

import msgspec

from migrator.messages.base import Message


class TransferAction(Message, frozen=True):
    """One action of a monitor. Sent until heard; a repeat has the same (attempt, sequence)."""

    host: str
    migration_id: str
    attempt: int
    sequence: int
    """Grows with each action, over restarts of the agent too."""
    action: str
    rule: str
    result: str
    facts: dict[str, float] = msgspec.field(default_factory=dict)
    by: str = "monitor"

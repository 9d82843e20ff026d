"""Whether the rules hold now: what hosts, guests, claims and records say of each other."""

from __future__ import annotations

import msgspec

from migrator.messages.base import Message


class Verify(Message, frozen=True):
    """Look at everything; ``repair`` also mends what can be mended without choosing for a person."""

    repair: bool = False


class BreachView(Message, frozen=True):
    """One rule that does not hold, or could not be looked at (``unseen``)."""

    rule: str
    message: str
    instance: str | None = None
    host: str | None = None
    migration: str | None = None
    repair: str | None = None
    """What ``repair`` would do; None when only a person may choose."""


class Verified(Message, frozen=True):
    """What was looked at and what is wrong, after the repairs where there were any."""

    instances: int
    moving: int
    """Instances with an unfinished migration: theirs is judged once that has ended."""
    breaches: list[BreachView]
    repaired: list[str] = msgspec.field(default_factory=list)
    """What was done, one sentence each."""

"""What becomes of a migration whose leader died, from its state alone.

What both hosts say is read by the steps themselves: each looks before it acts, so resuming a flow is
always safe, and :mod:`migrator.conductor.outcome` decides what the transfer came to meanwhile.
"""

from __future__ import annotations

import enum

from migrator.states import FLOW_STATES, TERMINAL, MigrationState


class Resume(enum.StrEnum):
    """What the new leader does."""

    DISPATCH = "dispatch"
    """It waited in the queue and goes on waiting."""
    CONTINUE = "continue"
    """Load the flow and go on where it stood."""
    UNDO = "undo"
    """Load the flow and go on undoing."""
    TODOS_ONLY = "todos_only"
    """The flow has ended; what is left are to-dos."""
    NOTHING = "nothing"


def resume(state: MigrationState) -> Resume:
    """Look the answer up."""
    if state in TERMINAL:
        return Resume.NOTHING
    if state is MigrationState.QUEUED:
        return Resume.DISPATCH
    if state is MigrationState.ROLLING_BACK:
        return Resume.UNDO
    if state in FLOW_STATES:
        return Resume.CONTINUE
    return Resume.TODOS_ONLY

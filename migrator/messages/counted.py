"""Figures over every migration that has ended, for monitoring."""

from __future__ import annotations

from migrator.messages.base import Message


class DistributionView(Message, frozen=True):
    """``counts[i]`` values were at most ``bounds[i]`` and above the bound before; the last place is for
    those above every bound."""

    bounds: list[float]
    counts: list[int]
    sum: float


class Counted(Message, frozen=True):
    """Since the history begins."""

    ended: dict[str, int]
    """By state."""
    failed: dict[str, int]
    """By error code."""
    attempts: int
    """Destinations claimed."""
    todo_retries: int
    """Tries of to-dos that were in vain."""
    phase_seconds: dict[str, DistributionView]
    """``queue`` (until it left the queue), ``move`` (until the switch), ``finish`` (until completed) and
    ``whole``."""
    downtime_seconds: DistributionView

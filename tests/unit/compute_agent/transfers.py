"""Readings of a transfer as a test tells them: MiB and seconds."""

from __future__ import annotations

import dataclasses
from typing import Any

from migrator.compute_agent.monitor.actions import Abort, Action, Wait
from migrator.compute_agent.monitor.asks import Asks
from migrator.compute_agent.monitor.decide import Known, Reading, decide, learn, observe
from migrator.model import GUARANTEED, JobSample, Profile, TransferPolicy

MIB = 1 << 20
MEMORY = 1000 * MIB
LINK = 100.0
"""MiB/s."""


def job(iteration: int, remaining: float, sent: float, **changes: Any) -> JobSample:
    values: dict[str, Any] = {
        "memory_total": MEMORY,
        "memory_iteration": iteration,
        "memory_remaining": int(remaining * MIB),
        "memory_processed": int(sent * MIB),
    }
    return JobSample("migration_out", **{**values, **changes})


def policy(profile: Profile = GUARANTEED, **changes: Any) -> TransferPolicy:
    """Of an attempt that was started with everything the profile allows."""
    values: dict[str, Any] = {"postcopy": profile.allow_postcopy}
    return TransferPolicy(profile, **{**values, **changes})


def profile(name: str = "test", **changes: Any) -> Profile:
    return dataclasses.replace(Profile(name), **changes)


class Watched:
    """A transfer under the rules, look by look; libvirt agrees to all it is not told to refuse."""

    def __init__(self, tolerated: TransferPolicy | None, refuses: tuple[str, ...] = ()) -> None:
        self.policy = tolerated
        self.refuses = refuses
        self.known = Known()
        self.asks = Asks()
        self.at = 100.0
        self.done: list[Action] = []

    def look(self, at: float, sample: JobSample | None, **state: bool) -> Action:
        """Everything that is decided on one look; answers with what that came to."""
        reading = Reading(100.0 + at, sample, **state)
        self.at = reading.at
        self.known = observe(self.known, reading)
        for _ in range(10):
            action = decide(self.policy, reading, self.known, self.asks)
            if isinstance(action, Wait):
                return action
            self.done.append(action)
            taken = action.name not in self.refuses
            self.known = learn(self.known, action, reading.at, taken)
            if isinstance(action, Abort) and not taken:
                return Wait("asked_in_vain")
        raise AssertionError(f"the same look never ends: {self.done[-3:]}")

    def copy(self, *left: float, link: float = LINK, since: float = 0.0) -> Action:
        """Iterations that leave so many MiB each; the first is the first pass. Looks twice a second
        and at each beginning."""
        sent, remaining, at, action = 0.0, MEMORY / MIB, since, Wait("")  # type: Any
        action = self.look(at, job(1, remaining, sent))
        for number, leaves in enumerate(left, 2):
            took = remaining / link
            steps = max(1, int(took / 0.5))
            for step in range(1, steps):
                part = took * step / steps
                self.look(at + part, job(number - 1, remaining - part * link, sent + part * link))
            at, sent, remaining = at + took, sent + remaining, leaves
            action = self.look(at, job(number, remaining, sent), boundary=True)
        self.sent, self.remaining, self.ended = sent, remaining, at
        return action

    @property
    def names(self) -> list[tuple[str, str]]:
        return [(each.name, each.rule) for each in self.done]

    @property
    def ends(self) -> list[tuple[str, str]]:
        """Without the settings of the downtime within the budget, and without repeated aborts."""
        return [
            (each.name, each.rule)
            for each in self.done
            if each.rule != "abort_again"
            and (each.name != "set_downtime" or getattr(each, "beyond", False))
        ]

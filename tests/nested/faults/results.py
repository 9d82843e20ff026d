"""What came of each case of the sweep, one JSON line each, for `tools/faults_page.py`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = "MIGRATOR_FAULTS_RESULTS"
"""Names the file; without it nothing is kept."""


@dataclass
class Result:
    """One case. Seconds count from the command that starts its victim again, or lets it go on."""

    case: str
    verb: str
    victim: str
    moment: str
    ours: bool
    """The victim is a process of migrator's, or of what it stands on."""
    ended: str = ""
    """The migration's last state, and its error code."""
    answered_s: float | None = None
    """Until everything that was started again answered: how long it takes to start."""
    held_s: float | None = None
    """Until the migration was led again and its transfer watched, or it had ended, with every rule
    holding; of a victim that is ours."""
    ended_s: float | None = None
    settled_s: float | None = None
    """Until every rule held, on the hosts and in the record."""
    broke: str = "not finished"
    """The first line of what did not hold; empty when everything did."""
    back: float = 0.0
    """On this machine's monotonic clock."""

    def is_back(self) -> None:
        self.back = time.monotonic()

    def answers(self) -> None:
        self.answered_s = self._seconds()

    def has_held(self) -> None:
        self.held_s = self._seconds()

    def has_ended(self, state: str, error_code: str | None) -> None:
        self.ended = f"{state}, {error_code}" if error_code else state
        self.ended_s = self._seconds()

    def has_settled(self) -> None:
        self.settled_s = self._seconds()
        self.broke = ""

    def _seconds(self) -> float:
        return round(time.monotonic() - self.back, 1)


@contextmanager
def keeping(result: Result) -> Iterator[Result]:
    """Write it down, however the case goes."""
    try:
        yield result
    except BaseException as error:
        result.broke = next((line for line in f"{error}".splitlines() if line), repr(error))
        raise
    finally:
        note(asdict(result))


def note(facts: dict[str, object]) -> None:
    """One more line."""
    if path := os.environ.get(FILE):
        with Path(path).open("a") as file:
            file.write(json.dumps(facts) + "\n")

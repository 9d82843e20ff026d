"""Writes the manual's page of the last sweep of faults, from what the sweep itself has kept.

``tools/test --faults full [--shard I/N]`` leaves one JSON line for each case in
``build/faults-*.jsonl``; ``python tools/faults_page.py build/faults-*.jsonl`` makes
``doc/source/contributor/faults.rst`` of them. Of a case that was run more than once, the last counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[1]
PAGE = TOP / "doc/source/contributor/faults.rst"
Result = Mapping[str, Any]
ALLOWED_S = 10.0
"""From the return of a process of ours until every rule holds."""
INTRODUCTION = """.. written by tools/faults_page.py from the sweep's own results

The sweep of faults
===================

What came of cases of ``tools/test --faults full`` when they were run last, on nested hosts. A victim
is killed, or stopped for 25 seconds, when a migration comes to a moment; what was killed is started
again at once. Seconds count from then: until the migration had ended, and until every rule held on the
hosts and in the record. What was still to be copied at full speed is part of both.
"""


def page(results: Sequence[Result], note: str = "") -> str:
    """The page's text.

    :param note: a sentence about the machine and the run.
    """
    cases = list({each["case"]: each for each in results if "case" in each}.values())
    simulated = [each for each in results if "simulated" in each]
    lines = [
        INTRODUCTION,
        *([note] if note else []),
        *_summary(cases),
        *map(_simulated, simulated),
        "",
    ]
    lines += [".. list-table::", "   :header-rows: 1", ""]
    header = ("What was done", "To whom", "When", "The migration", "Ended", "Settled", "Rules")
    for cells in (header, *map(_cells, cases)):
        first, *rest = cells
        lines += [f"   * - {first}", *(f"     - {cell}" for cell in rest)]
    return "\n".join(lines) + "\n"


def _summary(cases: Sequence[Result]) -> list[str]:
    broken = sum(bool(each["broke"]) for each in cases)
    lines = [f"{len(cases)} cases, {broken} in which a rule did not hold."]
    ours = [each for each in cases if each["ours"] and each["settled_s"] is not None]
    if ours:
        settled = [each["settled_s"] for each in ours]
        quick = sum(seconds <= ALLOWED_S for seconds in settled)
        completed = sum(each["ended"] == "completed" for each in ours)
        lines.append(
            f"Of {len(ours)} in which a process of migrator's, or the broker or the database, was hurt,"
            f" {completed} ended ``completed``, and {quick} were settled within {ALLOWED_S:.0f} s"
            f" (median {statistics.median(settled):.1f} s, longest {max(settled):.1f} s)."
        )
    return lines


def _simulated(run: Result) -> str:
    ends = ", ".join(f"{times} {end}" for end, times in sorted(run["ends"].items()))
    return f"Simulated, {run['simulated']}, {run['runs']} runs: {ends}."


def _cells(case: Result) -> tuple[str, ...]:
    held = "held" if not case["broke"] else f"broken: {case['broke']}"
    return (
        case["verb"],
        case["victim"],
        case["moment"],
        case["ended"] or "not seen to end",
        _seconds(case["ended_s"]),
        _seconds(case["settled_s"]),
        held,
    )


def _seconds(value: float | None) -> str:
    return "\\-" if value is None else f"{value:.1f} s"


def read(files: Iterable[Path]) -> list[Result]:
    """Every line of every file, in order."""
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--note", default="", help="a sentence about the machine and the run")
    parser.add_argument("files", nargs="+", type=Path)
    asked = parser.parse_args()
    PAGE.write_text(page(read(asked.files), asked.note))


if __name__ == "__main__":
    main()

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
STOOD_ON = frozenset({"broker", "database"})
"""Victims that migrator needs and that are none of its own processes."""
INTRODUCTION = """.. written by tools/faults_page.py from the sweep's own results

The sweep of faults
===================

What came of cases of ``tools/test --faults full`` when they were run last, on nested hosts. A victim
is killed, or stopped for 25 seconds, or a network cut for as long, when a migration comes to a moment;
what was killed is started again at once. Seconds count from the command that starts it again, or lets
it go on:

* *answers*: until everything that was started answered, which is what programs take to start;
* *holds*: until a living conductor led the migration, a living agent watched its transfer, and every
  rule held on the hosts and in the records, with the guest still on its way or already there;
* *ended*: until the migration had ended, what was still to be copied included;
* *settled*: until every rule held with nothing under way, and the guest's heart had gone on beating.
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
        *(line for run in simulated for line in ("", _simulated(run))),
        "",
    ]
    lines += [".. list-table::", "   :header-rows: 1", ""]
    header = (
        "What was done",
        "To whom",
        "When",
        "The migration",
        "Answers",
        "Holds",
        "Ended",
        "Settled",
        "Rules",
    )
    for cells in (header, *map(_cells, cases)):
        first, *rest = cells
        lines += [f"   * - {first}", *(f"     - {cell}" for cell in rest)]
    return "\n".join(lines) + "\n"


def _summary(cases: Sequence[Result]) -> list[str]:
    broken = sum(bool(each["broke"]) for each in cases)
    lines = [f"{len(cases)} cases, {broken} in which a rule did not hold."]
    ours = [each for each in cases if each["ours"]]
    own = [each for each in ours if each["victim"] not in STOOD_ON]
    stood_on = [each for each in ours if each["victim"] in STOOD_ON]
    lines += _kept("a process of migrator's own was hurt", own)
    lines += _kept("the broker or the database was hurt", stood_on)
    return lines


def _kept(what: str, cases: Sequence[Result]) -> list[str]:
    """How they ended, how soon every rule held again, and how long the whole took."""
    if not cases:
        return []
    completed = sum(each["ended"] == "completed" for each in cases)
    lines = ["", f"Of {len(cases)} in which {what}, {completed} ended ``completed``."]
    held = _known(cases, "held_s")
    if held:
        quick = sum(seconds <= ALLOWED_S for seconds in held)
        lines.append(
            f"The migration was led and every rule held within {ALLOWED_S:.0f} s in {quick} of"
            f" {len(held)} ({_spread(held)})."
        )
    if after := [
        each["held_s"] - each["answered_s"]
        for each in cases
        if None not in (each.get("answered_s"), each.get("held_s"))
    ]:
        lines.append(
            f"What was killed took {_spread(_known(cases, 'answered_s'))} to start and answer, and"
            f" from then on it took {_spread(after)}."
        )
    if settled := _known(cases, "settled_s"):
        lines.append(f"With the copy and all, they were settled after: {_spread(settled)}.")
    return lines


def _known(cases: Sequence[Result], field: str) -> list[float]:
    return [each[field] for each in cases if each.get(field) is not None]


def _spread(seconds: Sequence[float]) -> str:
    if not seconds:
        return "not measured"
    return f"median {statistics.median(seconds):.1f} s, longest {max(seconds):.1f} s"


def _simulated(run: Result) -> str:
    ends = ", ".join(f"{times} {end}" for end, times in sorted(run["ends"].items()))
    return (
        f"Simulated, {run['simulated']}, {run['runs']} runs: {ends}. Of those that were led"
        f" {run['share']:.1%} completed; a test asks for {run['least']:.0%}."
    )


def _cells(case: Result) -> tuple[str, ...]:
    held = "held" if not case["broke"] else f"broken: {case['broke']}"
    return (
        case["verb"],
        case["victim"],
        case["moment"],
        case["ended"] or "not seen to end",
        _seconds(case.get("answered_s")),
        _seconds(case.get("held_s")),
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
    parser.add_argument("--summary", action="store_true", help="only print what it comes to")
    asked = parser.parse_args()
    if asked.summary:
        print("\n".join(_summary(read(asked.files))))
        return
    PAGE.write_text(page(read(asked.files), asked.note))


if __name__ == "__main__":
    main()

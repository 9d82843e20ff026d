"""Replay one run, or sweep many.

python -m tests.simulation --seed 17            # one run of the random sweep, with its story
python -m tests.simulation --case 230           # one of the matrix of step boundaries and faults
python -m tests.simulation --seeds 0:5000       # a sweep; --cases 0:9999 the whole matrix
"""

from __future__ import annotations

import argparse
import logging
import time
from collections import Counter
from collections.abc import Sequence

from tests.simulation.families import plan_of
from tests.simulation.matrix import cases
from tests.simulation.plan import Plan
from tests.simulation.run import run


def main() -> int:
    """Exit status: 1 when a rule did not hold."""
    asked = _parser().parse_args()
    if asked.log:
        logging.basicConfig(level=logging.INFO)
    else:
        logging.disable(logging.CRITICAL)
    if asked.seed is not None:
        return _replay(plan_of(asked.seed))
    if asked.case is not None:
        return _replay(cases()[asked.case])
    if asked.cases is not None:
        return _sweep("case", _range(asked.cases), cases()[slice(*_range(asked.cases))])
    first, last = _range(asked.seeds)
    return _sweep("seed", (first, last), [plan_of(seed) for seed in range(first, last)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--seed", type=int)
    which.add_argument("--case", type=int)
    which.add_argument("--seeds", default="0:100", metavar="FIRST:LAST")
    which.add_argument("--cases", metavar="FIRST:LAST")
    parser.add_argument("--log", action="store_true", help="what the processes log as well")
    return parser


def _range(text: str) -> tuple[int, int]:
    first, last = text.split(":")
    return int(first), int(last)


def _replay(plan: Plan) -> int:
    report = run(plan)
    print(report)
    print(f"{report.ends}; {report.virtual_s:.0f} s of its time, {report.switches} switches")
    return 1 if report.violations else 0


def _sweep(word: str, numbers: tuple[int, int], plans: Sequence[Plan]) -> int:
    ends: Counter[str] = Counter()
    bad = 0
    began = time.process_time()
    for number, plan in enumerate(plans, start=numbers[0]):
        report = run(plan)
        ends.update(report.ends)
        if report.violations:
            bad += 1
            print(
                f"{report.plan}\n   replay: python -m tests.simulation --{word} {number}",
                flush=True,
            )
            print("\n".join(f"   VIOLATION {each}" for each in report.violations), flush=True)
    spent = time.process_time() - began
    print(f"{len(plans)} runs, {bad} with violations; {spent:.0f} s of CPU; ends: {dict(ends)}")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())

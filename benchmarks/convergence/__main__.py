"""``python -m benchmarks.convergence [--seed N] [--count N] [--policy WORD]``."""

from __future__ import annotations

import argparse
import sys

from benchmarks.convergence.policies import POLICIES
from benchmarks.convergence.report import Column, print_table, promises
from benchmarks.convergence.run import oracle, run
from benchmarks.convergence.scenarios import scenarios
from benchmarks.report import print_rows

STRICT, GUARANTEED = "migrator strict", "migrator guaranteed"
RIVALS = ("KubeVirt stall detector", "KubeVirt stall, post-copy")


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.convergence", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--policy", default="", help="only policies with this in their name")
    asked = parser.parse_args(words)
    cases = [(each, oracle(each)) for each in scenarios(asked.seed, asked.count)]
    columns = {}
    for name, make in POLICIES.items():
        if asked.policy.lower() in name.lower():
            columns[name] = Column(name)
            for scenario, best in cases:
                columns[name].add(scenario, best, run(scenario, make(scenario)))
    reachable = sum(best.precopy is not None and not best.marginal for _, best in cases)
    marginal = sum(best.marginal for _, best in cases)
    print(
        f"{len(cases)} scenarios (seed {asked.seed}), budget 500 ms: pre-copy can meet it in "
        f"{reachable}, hardly in {marginal}, not in {len(cases) - reachable - marginal}\n"
    )
    print_table(list(columns.values()))
    if asked.policy:
        return 0
    print()
    rivals = [columns[name] for name in RIVALS]
    return print_rows(promises(columns[STRICT], columns[GUARANTEED], rivals))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

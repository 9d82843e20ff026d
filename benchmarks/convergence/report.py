"""The table, and whether what was promised is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.convergence.run import Oracle
from benchmarks.convergence.scenarios import Scenario
from benchmarks.convergence.transfer import Ending
from benchmarks.report import Row


@dataclass
class Column:
    """What one policy came to."""

    policy: str
    converged: int = 0
    convergent: int = 0
    ratios: list[float] = field(default_factory=list)
    """Time over the oracle's, of pre-copies that met the budget."""
    downtime_ms: float = 0.0
    """The longest, where a pre-copy ended it."""
    endings: Counter[str] = field(default_factory=Counter)
    """Where no pre-copy meets the budget."""
    decided: list[float] = field(default_factory=list)
    """Time to the end over the oracle's, there."""
    sent: list[float] = field(default_factory=list)
    """Bytes over memory, there."""
    marginal: Counter[str] = field(default_factory=Counter)

    def add(self, scenario: Scenario, best: Oracle, ending: Ending) -> None:
        if ending.how in ("precopy", "pause"):
            self.downtime_ms = max(self.downtime_ms, ending.downtime_s * 1000)
        if best.marginal:
            self.marginal[ending.how] += 1
        elif best.precopy is not None:
            self._convergent(scenario, best.precopy, ending)
        else:
            self.endings[ending.how] += 1
            oracle_s = best.postcopy.at if ending.how == "postcopy" else best.abort_s
            self.decided.append(ending.at / oracle_s)
            self.sent.append(ending.sent / scenario.memory)

    def _convergent(self, scenario: Scenario, best: Ending, ending: Ending) -> None:
        self.convergent += 1
        within = ending.downtime_s * 1000 <= scenario.budget_ms
        if ending.how == "precopy" and within:
            self.converged += 1
            self.ratios.append(ending.at / best.at)


def share(values: Sequence[float], part: float) -> float:
    """The value that ``part`` of them do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def print_table(columns: Sequence[Column]) -> None:
    """A line for each policy."""
    print(
        f"{'':26}  pre-copy can meet the budget        most      it cannot\n"
        f"{'':26}  done     time/oracle p50  p90  max  freeze    ended how"
        f"{'':23} time/oracle p50  p90   max   sent/RAM p50  p90   max"
    )
    for each in columns:
        how = ", ".join(f"{count} {name}" for name, count in sorted(each.endings.items()))
        r, d, s = each.ratios, each.decided, each.sent
        print(
            f"{each.policy:26}  {each.converged:3}/{each.convergent:<3}"
            f"  {share(r, 0.5):14.3f} {share(r, 0.9):5.2f} {max(r, default=0):6.2f}"
            f"  {each.downtime_ms:4.0f} ms  {how:32}"
            f"  {share(d, 0.5):14.2f} {share(d, 0.9):6.2f} {max(d, default=0):7.2f}"
            f"  {share(s, 0.5):8.2f} {share(s, 0.9):6.2f} {max(s, default=0):7.2f}"
        )


def promises(strict: Column, guaranteed: Column, rivals: Sequence[Column]) -> list[Row]:
    """What the manual says of these rules."""
    done = f"{strict.converged}/{strict.convergent}, {guaranteed.converged}/{guaranteed.convergent}"
    all_done = all(each.converged == each.convergent for each in (strict, guaranteed))
    p90, most = share(strict.ratios, 0.9), max(strict.ratios)
    decided = max(*strict.decided, *guaranteed.decided)
    sent = max(*strict.sent, *guaranteed.sent)
    freeze = max(strict.downtime_ms, guaranteed.downtime_ms)
    behind = [
        behind_on(rival, ours) for rival, ours in zip(rivals, (strict, guaranteed), strict=True)
    ]
    return [
        Row("convergent: completed by pre-copy within the budget", done, "all", all_done),
        Row("convergent: time/oracle p90", f"{p90:.3f}", "<= 1.02", p90 <= 1.02),
        Row("convergent: time/oracle max", f"{most:.2f}", "<= 1.5", most <= 1.5),
        Row("other: time to the end / oracle max", f"{decided:.2f}", "<= 1.5", decided <= 1.5),
        Row("other: bytes sent / RAM max", f"{sent:.2f}", "<= 1.7", sent <= 1.7),
        Row("longest freeze", f"{freeze:.0f} ms", "<= 500 ms", freeze <= 500),
        Row(
            "KubeVirt's stall detector is behind on",
            "; ".join(", ".join(each) for each in behind),
            "every column",
            all(len(each) == len(COLUMNS) for each in behind),
        ),
    ]


COLUMNS = ("done", "time p90", "time max", "decided p50", "decided max", "sent p50", "sent max")


def behind_on(rival: Column, ours: Column) -> list[str]:
    """Columns in which ``rival`` is worse; one in which both are perfect counts as well."""
    pairs = [
        (-rival.converged, -ours.converged),
        (share(rival.ratios, 0.9), share(ours.ratios, 0.9)),
        (max(rival.ratios), max(ours.ratios)),
        (share(rival.decided, 0.5), share(ours.decided, 0.5)),
        (max(rival.decided), max(ours.decided)),
        (share(rival.sent, 0.5), share(ours.sent, 0.5)),
        (max(rival.sent), max(ours.sent)),
    ]
    perfect = rival.converged == ours.converged == ours.convergent
    return [
        name
        for name, (theirs, mine) in zip(COLUMNS, pairs, strict=True)
        if theirs > mine or (name == "done" and perfect)
    ]

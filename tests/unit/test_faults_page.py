"""The manual's page of the sweep is what the sweep has kept."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import faults_page

from tests.nested.faults.results import Result


def result(
    moment: str, settled_s: float | None, broke: str = "", held_s: float = 3.0
) -> dict[str, object]:
    one = Result(f"kill-conductor-{moment}", "kill", "conductor", moment, ours=True)
    one.ended, one.ended_s, one.settled_s, one.broke = "completed", 2.0, settled_s, broke
    one.answered_s, one.held_s = 2.0, held_s
    return asdict(one)


def test_each_case_is_a_row_and_the_rules_are_counted() -> None:
    text = faults_page.page([result("placed", 8.0), result("late", None, "g1 has no QEMU", 11.0)])
    assert "2 cases, 1 in which a rule did not hold." in text
    assert "Of 2 in which a process of migrator's own was hurt, 2 ended ``completed``." in text
    assert "within 10 s in 1 of 2 (median 7.0 s, longest 11.0 s)." in text
    assert "was killed took median 2.0 s, longest 2.0 s to start" in text
    assert "from then on it took median 5.0 s, longest 9.0 s." in text
    assert "settled after: median 8.0 s, longest 8.0 s." in text
    assert "broken: g1 has no QEMU" in text


def test_of_a_case_that_was_run_again_the_last_run_counts(tmp_path: Path) -> None:
    file = tmp_path / "faults-1.jsonl"
    lines = [result("placed", None, "two run"), result("placed", 9.0)]
    file.write_text("".join(json.dumps(each) + "\n" for each in lines))
    text = faults_page.page(faults_page.read([file]))
    assert "1 cases, 0 in which" in text
    assert "two run" not in text


def test_what_was_simulated_is_told_beside_the_cases() -> None:
    ends = {"failed": 1, "completed": 2}
    run = {"simulated": "agents killed", "runs": 3, "ends": ends, "share": 2 / 3, "least": 0.95}
    text = faults_page.page([run])
    assert "Simulated, agents killed, 3 runs: 2 completed, 1 failed." in text
    assert "Of those that were led 66.7% completed; a test asks for 95%." in text

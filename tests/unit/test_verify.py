"""How `migrator-manage verify` says what it found."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.verify import lines, status


def answer(*rules: str, repaired: tuple[str, ...] = (), moving: int = 0) -> dict[str, Any]:
    breaches = [{"rule": rule, "message": f"{rule} it is", "repair": None} for rule in rules]
    return {"instances": 3, "moving": moving, "breaches": breaches, "repaired": list(repaired)}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [((), 0), (("left_over",), 1), (("unseen",), 3), (("unseen", "two_running"), 1)],
)
def test_the_exit_status_says_wrong_before_unknown(rules: tuple[str, ...], expected: int) -> None:
    assert status(answer(*rules)) == expected


def test_a_fleet_in_order_is_one_line() -> None:
    assert lines(answer()) == ["3 instances looked at; every rule holds"]


def test_every_deed_and_every_breach_is_a_line() -> None:
    found = answer("unseen", "marked", repaired=("h1: removed a",), moving=1)
    found["breaches"][1]["repair"] = "unmark"
    assert lines(found) == [
        "mended: h1: removed a",
        "unseen: unseen it is",
        "marked: marked it is",
        "    `migrator-manage verify --repair` mends this",
        "3 instances looked at, 1 of them moving and not judged; 1 found wrong and 1 hosts not seen",
    ]

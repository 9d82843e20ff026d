"""Writes what people read about the states of a migration, from the table the program goes by.

``doc/source/states.rst`` whole, and the part of README.rst between its two marks. A test fails while
either differs from the table; ``python tools/states_page.py`` mends it.
"""

from __future__ import annotations

from pathlib import Path

from migrator import states
from migrator.states import TRANSITIONS, MigrationState

TOP = Path(__file__).parents[1]
PAGE = TOP / "doc/source/states.rst"
README = TOP / "README.rst"
BEGIN = ".. states: written by tools/states_page.py\n"
END = ".. end of states\n"

FACETS = {
    "Terminal": states.TERMINAL,
    "An abort is accepted": states.ABORTABLE,
    "The destination owns the guest, no way back": states.PAST_NO_RETURN,
    "Resumed by another conductor when its leader dies": states.FLOW_STATES,
    "``--wait`` exits 1": states.ENDED_BADLY,
}


def _row(cells: tuple[str, ...]) -> list[str]:
    first, *rest = cells
    return [f"   * - {first}", *(f"     - {cell}" for cell in rest)]


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for cells in [header, *rows]:
        lines += _row(cells)
    return [*lines, ""]


def overview() -> str:
    """Each state and what may follow it, one line each, as a literal block."""
    width = max(len(state) for state in MigrationState) + 1
    lines = ["::", ""]
    for state in MigrationState:
        following = [str(new) for old, new in TRANSITIONS if old is state]
        lines.append(f"    {state:<{width}}> {' | '.join(following) or '(the end)'}".rstrip())
    return "\n".join([*lines, ""]) + "\n"


def page() -> str:
    """``doc/source/states.rst``."""
    lines = [
        ".. written by tools/states_page.py from migrator/states.py",
        "",
        "The states of a migration",
        "=========================",
        "",
        "One table decides which state may follow which; every change is a compare-and-set on the state",
        "and the epoch of the conductor that leads the migration. A terminal migration never changes.",
        "",
        overview(),
    ]
    lines += _table(
        ("From", "To", "Why"),
        [(str(old), str(new), why) for (old, new), why in TRANSITIONS.items()],
    )
    lines += ["What a state allows", "-------------------", ""]
    lines += _table(
        ("Meaning", "States"),
        [
            (meaning, ", ".join(str(state) for state in MigrationState if state in facet))
            for meaning, facet in FACETS.items()
        ],
    )
    lines += ["As a graph", "----------", "", "For Graphviz (``dot -Tsvg``)::", ""]
    lines += [f"    {line}".rstrip() for line in states.diagram().splitlines()]
    return "\n".join(lines) + "\n"


def readme(text: str) -> str:
    """README.rst with its part about states as it must be."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{overview()}\n{END}{tail}"


def main() -> None:
    """Write both."""
    PAGE.write_text(page())
    README.write_text(readme(README.read_text()))


if __name__ == "__main__":
    main()

"""What a step is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from migrator.conductor.run import Run

Result = dict[str, Any]
Results = Mapping[str, Result]


class Step:
    """One unit; see the package's docstring for the contract."""

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    abortable: ClassVar[bool] = True
    """An abort asked for before it begins is obeyed there; False where it has its own way with it."""

    telling: ClassVar[bool] = False
    """What it did is in the migration's own record: its end is not written down by itself."""

    def harmless(self, results: Results) -> bool:
        """Whether it changes nothing anywhere. Such a step is not written down by itself: after a crash
        it is done again, whatever the migration has come to since."""
        return False

    def execute(self, run: Run, results: Results) -> Result:
        """Do it, or find it done."""
        raise NotImplementedError

    def revert(self, run: Run, results: Results) -> None:
        """Undo it, or find it undone; also called when ``execute`` failed half-way."""


def pack(message: msgspec.Struct) -> Result:
    """A message as a journalled result."""
    document: Result = msgspec.to_builtins(message)
    return document

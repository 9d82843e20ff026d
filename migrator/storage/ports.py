"""What a copy of volumes needs of whoever asked for it."""

from __future__ import annotations

from typing import Protocol

from migrator.model import CopySample


class CopyWatch(Protocol):
    """Asked and told from several workers at once."""

    @property
    def stopped(self) -> bool:
        """The copy is to end now, whatever it has done."""
        ...

    @property
    def bandwidth(self) -> int | None:
        """Bytes/s that all its streams may send together, now; None for as fast as it goes."""
        ...

    def moved(self, sample: CopySample) -> None:
        """How far it is; must not block."""
        ...

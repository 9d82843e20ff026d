"""Comparing which parts of a host a guest was given with those it was seen to have."""

from __future__ import annotations

from migrator.model.placement import Placement


def has_same_parts(claimed: Placement, held: Placement) -> bool:
    """Whether a guest that is seen to have ``held`` has what ``claimed`` gave it.

    What cannot be seen from outside is not compared: siblings that are kept free, functions that are
    blocked, and where the pages of a guest lie that no cell binds.
    """
    return (
        claimed.pins == held.pins
        and claimed.emulator_cpu == held.emulator_cpu
        and _addresses(claimed) == _addresses(held)
        and (not held.cells or _cells(claimed) == _cells(held))
    )


def _addresses(placement: Placement) -> frozenset[str]:
    return frozenset(given.address for given in placement.devices)


def _cells(placement: Placement) -> frozenset[tuple[int, int]]:
    return frozenset((cell.guest, cell.host) for cell in placement.cells)

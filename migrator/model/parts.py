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
        and _same_emulator(claimed, held)
        and _addresses(claimed) == _addresses(held)
        and (not held.cells or _cells(claimed) == _cells(held))
    )


def _same_emulator(claimed: Placement, held: Placement) -> bool:
    """One that shares the only CPU there is to share looks as if that were its own."""
    if claimed.emulator_cpu is None and held.emulator_cpu in claimed.emulator_cpus:
        return True
    return claimed.emulator_cpu == held.emulator_cpu


def _addresses(placement: Placement) -> frozenset[str]:
    return frozenset(given.address for given in placement.devices)


def _cells(placement: Placement) -> frozenset[tuple[int, int]]:
    return frozenset((cell.guest, cell.host) for cell in placement.cells)

"""Every step boundary times everything that can happen, enumerated from a run without any fault."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from tests.simulation.families import FAULTS_OF, single, undisturbed
from tests.simulation.plan import Plan, Trigger
from tests.simulation.run import run

COMMITTED = "database committed"
"""Every commit is a boundary of its own; of the other points the first of each kind is."""
NO_BOUNDARY = frozenset({"lock", "database read", "database write"})


@functools.cache
def boundaries(family: str) -> Sequence[Trigger]:
    """Where a fault may strike a migration that goes well."""
    smooth = run(undisturbed(family))
    assert smooth.violations == [], smooth
    assert smooth.ends == ["completed"], smooth
    found = []
    for (role, label), times in sorted(smooth.points.items()):
        if label in NO_BOUNDARY or role == "libvirt":
            continue
        most = times if label == COMMITTED else 1
        found += [Trigger(role, label, nth) for nth in range(1, most + 1)]
    return found


@functools.cache
def cases() -> Sequence[Plan]:
    """The whole matrix, in an order that any beginning of is a sample of."""
    cells = [
        (family, kind, trigger)
        for family, kinds in FAULTS_OF.items()
        for trigger in boundaries(family)
        for kind in kinds
    ]
    stride = _coprime(len(cells))
    mixed = [cells[(place * stride) % len(cells)] for place in range(len(cells))]
    return [single(family, seed, kind, at) for seed, (family, kind, at) in enumerate(mixed)]


def _coprime(length: int) -> int:
    """A step that visits every place of a ring of that length once."""
    step = int(length * 0.618)
    while any(step % factor == 0 and length % factor == 0 for factor in range(2, length + 1)):
        step += 1
    return step

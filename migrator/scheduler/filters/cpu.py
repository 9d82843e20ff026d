"""The host can give the guest the CPU it runs with."""

from __future__ import annotations

from functools import lru_cache

from migrator.model import Refusal
from migrator.scheduler.snapshot import Candidate, Wanted

NAMED_AT_MOST = 12
"""Features named in the sentence; the facts have all."""


def cpu(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse a host that lacks features; of one that does not tell its own nothing is known.

    A newer libvirt may count more features to a model than an older one: there, only those that the
    guest's domain names are judged. The agent's comparison has the last word on those that pass.
    """
    guest, facts = wanted.cpu, candidate.host.facts
    offered = candidate.cpus.get((wanted.arch, wanted.virt_type))
    if guest is None or offered is None or facts is None:
        return None
    older = facts.libvirt_version < guest.written_by
    lacking = _lacking(guest.named if older else guest.features, offered)
    if not lacking:
        return None
    more = len(lacking) - NAMED_AT_MOST
    named = ", ".join(lacking[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")
    return Refusal(
        "cpu",
        "cpu.incompatible",
        f"the guest runs with CPU features {candidate.host.name} does not have: {named}. Choose another"
        " host, or start the guest with a CPU model that both hosts offer.",
        {"features": list(lacking)},
    )


@lru_cache(maxsize=1024)
def _lacking(wanted: frozenset[str], offered: frozenset[str]) -> tuple[str, ...]:
    """Remembered, since hosts resemble each other."""
    return tuple(sorted(wanted - offered))

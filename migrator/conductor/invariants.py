"""The rules that hold for an instance whenever no migration moves it, and what may mend a breach. Pure.

Nothing is ever removed that an ended attempt of ours did not make, and never a guest that may be the
only one: who could choose is a person.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from migrator.model import DomainState, DomainView, Instance, InstanceStatus, Migration, Reason


class Mend(enum.StrEnum):
    """What mends a breach; the agents' ops look again before they act."""

    SETTLE = "settle"
    """Bring the record of the instance in line with its hosts."""
    UNDO = "undo"
    """Remove the half-filled domain, or its definition, that an ended attempt left."""
    UNMARK = "unmark"
    """Take an ended attempt's mark off the guest and give it back its autostart."""


@dataclass(frozen=True)
class Breach:
    """One rule that does not hold."""

    rule: str
    message: str
    host: str | None = None
    mend: Mend | None = None


@dataclass(frozen=True)
class Look:
    """One instance with what every host that may have it says."""

    instance: Instance
    views: Mapping[str, DomainView | None]
    """None for a host that does not answer, which is never the same as absent."""
    marked: Mapping[str, Migration]
    """The migrations that the domains' marks name, by id, as far as they are known."""


_RUNS = frozenset({InstanceStatus.RUNNING, InstanceStatus.PAUSED})
_PARTS = frozenset({Reason.MIGRATION, Reason.STARTING_UP, Reason.POSTCOPY, Reason.POSTCOPY_FAILED})
"""Why a domain is paused that is half of a migration."""


def breaches(look: Look) -> Iterator[Breach]:
    """Every rule that the instance breaks; nothing while a migration moves it."""
    if look.instance.migration_id is not None:
        return
    known = {host: view for host, view in look.views.items() if view is not None}
    active = sorted(host for host, view in known.items() if view.active)
    yield from _where(look, known, active)
    for host, view in known.items():
        yield from _mark(look, host, view)
        if view.state is not DomainState.ABSENT and host != look.instance.host and len(known) > 1:
            yield from _left_over(look, host, view)


def _where(look: Look, known: Mapping[str, DomainView], active: list[str]) -> Iterator[Breach]:
    name, owner = look.instance.name, look.instance.host
    running = [host for host in active if not _is_part(known[host])]
    if len(running) > 1:
        yield Breach(
            "two_running",
            f"{name} is active on {' and '.join(running)}: look which copy is the right one and destroy "
            "the other (`virsh destroy`)",
        )
    elif running and running[0] != owner:
        recorded = f"on {owner}" if owner else "nowhere"
        yield Breach(
            "owner_wrong",
            f"{name} runs on {running[0]} and is recorded {recorded}",
            running[0],
            Mend.SETTLE,
        )
    elif not active and look.instance.status in _RUNS and len(known) == len(look.views):
        yield Breach(
            "owner_wrong",
            f"{name} is recorded {look.instance.status} on {owner} and runs on no host",
            owner,
            Mend.SETTLE,
        )


def _mark(look: Look, host: str, view: DomainView) -> Iterator[Breach]:
    if view.mark is None or host != look.instance.host:
        return
    migration = look.marked.get(view.mark.migration_id)
    known = f"migration {view.mark.migration_id}"
    if migration is None:
        yield Breach(
            "marked",
            f"{look.instance.name} carries the mark of {known}, which is unknown here",
            host,
        )
    elif migration.finished_at is not None:
        yield Breach(
            "marked",
            f"{look.instance.name} still carries the mark of {known}, which has ended "
            f"{migration.state}",
            host,
            Mend.UNMARK,
        )


def _left_over(look: Look, host: str, view: DomainView) -> Iterator[Breach]:
    what = f"{host} has {look.instance.name} as well ({view.state}, {view.reason})"
    migration = look.marked.get(view.mark.migration_id) if view.mark is not None else None
    if migration is not None and migration.finished_at is not None:
        never_ran = not view.active or _is_part(view)
        yield Breach(
            "left_over",
            f"{what}, left by migration {migration.id}, which has ended {migration.state}",
            host,
            Mend.UNDO if never_ran else None,
        )
    elif not view.active or _is_part(view):
        yield Breach(
            "left_over",
            f"{what}, and no migration that is known here left it; undefine it there if it is not "
            "wanted (`virsh undefine --keep-nvram`)",
            host,
        )


def _is_part(view: DomainView) -> bool:
    return view.state is DomainState.PAUSED and view.reason in _PARTS

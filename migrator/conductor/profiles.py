"""Which tolerances a migration gets, and which a profile may have. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from migrator.errors import Refused
from migrator.model import PRESETS, MigrationRequest, OnDeadline, Profile

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
LONGEST_DOWNTIME_MS = 2_000_000
"""QEMU takes no more."""
LONGEST_DEADLINE_S = 30 * 86400
FASTEST_MIB_S = 1 << 20

BUILT_IN: Mapping[str, Profile] = {each.name: each for each in PRESETS}


def resolve(
    request: MigrationRequest, instance: str | None, default: str, known: Mapping[str, Profile]
) -> Profile:
    """Of the operation, else of the instance, else the default; then what the operation says itself.

    :raises Refused: ``profile.unknown``, ``request.invalid``.
    """
    chosen = find(request.profile or instance or default, known)
    said: dict[str, Any] = {
        "deadline_s": request.deadline_s,
        "on_deadline": request.on_deadline,
        "bandwidth_mib_s": request.bandwidth_mib_s,
        "postcopy_bandwidth_mib_s": request.postcopy_bandwidth_mib_s,
    }
    resolved = replace(chosen, **{name: value for name, value in said.items() if value is not None})
    if request.deadline_s is not None:
        # It was said for this move, whatever its size.
        resolved = replace(resolved, deadline_per_gib=None)
    if request.on_deadline is not None and not has_deadline(resolved):
        raise Refused(
            "request.invalid",
            f"on_deadline says what to do at a deadline, and profile {resolved.name} has none; add "
            "a deadline",
            field="on_deadline",
        )
    if request.postcopy_bandwidth_mib_s is not None and not resolved.allow_postcopy:
        raise Refused(
            "request.invalid",
            f"postcopy_bandwidth_mib_s means nothing with profile {resolved.name}, which does not "
            "allow post-copy",
            field="postcopy_bandwidth_mib_s",
        )
    _refuse_empty_force(resolved)
    return resolved


def find(name: str, known: Mapping[str, Profile]) -> Profile:
    """:raises Refused: ``profile.unknown``."""
    if name not in known:
        raise Refused(
            "profile.unknown",
            f"there is no profile {name!r}; there are: {', '.join(sorted(known))}",
            profile=name,
            known=sorted(known),
        )
    return known[name]


def has_deadline(profile: Profile) -> bool:
    return profile.deadline_s is not None or profile.deadline_per_gib is not None


def check(profile: Profile) -> None:
    """Whether it may be kept.

    :raises Refused: ``request.invalid``, with the field.
    """
    if NAME.fullmatch(profile.name) is None:
        raise _invalid(
            "name", "must be lower-case letters, digits, '.', '_' or '-', at most 63 of them"
        )
    _within("max_downtime_ms", profile.max_downtime_ms, 1, LONGEST_DOWNTIME_MS)
    _within("deadline_s", profile.deadline_s, 1, LONGEST_DEADLINE_S)
    _within("deadline_per_gib", profile.deadline_per_gib, 1, LONGEST_DEADLINE_S)
    _within("bandwidth_mib_s", profile.bandwidth_mib_s, 1, FASTEST_MIB_S)
    _within("postcopy_bandwidth_mib_s", profile.postcopy_bandwidth_mib_s, 1, FASTEST_MIB_S)
    if profile.postcopy_bandwidth_mib_s is not None and not profile.allow_postcopy:
        raise _invalid("postcopy_bandwidth_mib_s", "means nothing without allow_postcopy")
    _refuse_empty_force(profile)


def _refuse_empty_force(profile: Profile) -> None:
    """Forcing needs something that is permitted."""
    permits = profile.allow_postcopy or profile.allow_pause
    if profile.on_deadline is OnDeadline.FORCE and not permits:
        raise _invalid(
            "on_deadline",
            f"cannot be force with profile {profile.name}: it permits neither post-copy nor a pause",
        )


def refuse_built_in(name: str) -> None:
    """:raises Refused: ``profile.built_in``."""
    if name in BUILT_IN:
        raise Refused(
            "profile.built_in",
            f"profile {name} is built in and never changes; make one of your own: "
            f"`migrator profile create NAME --like {name}`",
            profile=name,
        )


def _within(field: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise _invalid(field, f"must be between {least} and {most}")


def _invalid(field: str, why: str) -> Refused:
    return Refused("request.invalid", f"{field} {why}", field=field)

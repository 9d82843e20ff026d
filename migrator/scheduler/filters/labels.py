"""The host is labelled as the guest's operator wants it."""

from __future__ import annotations

from migrator.model import Refusal
from migrator.scheduler.snapshot import Candidate, Wanted


def tags(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse a host that lacks a tag."""
    lacking = [tag for tag in wanted.wishes.tags if tag not in candidate.host.tags]
    if not lacking:
        return None
    name, named = candidate.host.name, ", ".join(lacking)
    return Refusal(
        "tags",
        "host.tag_missing",
        f"{name} has not the tag {named} that the guest asks for; `migrator host set {name} --tag"
        f" {lacking[0]}` gives it one",
        {"tags": lacking},
    )


def forbidden_tags(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse a host that has a tag the guest must keep away from."""
    found = [tag for tag in wanted.wishes.forbidden_tags if tag in candidate.host.tags]
    if not found:
        return None
    return Refusal(
        "forbidden_tags",
        "host.tag_forbidden",
        f"{candidate.host.name} has the tag {', '.join(found)}, which the guest must keep away from",
        {"tags": found},
    )


def zone(candidate: Candidate, wanted: Wanted) -> Refusal | None:
    """Refuse a host of another zone."""
    wish = wanted.wishes.zone
    if wish is None or candidate.host.zone == wish:
        return None
    return Refusal(
        "zone",
        "host.wrong_zone",
        f"{candidate.host.name} is in {_named(candidate.host.zone)}, the guest belongs in zone {wish}",
        {"zone": candidate.host.zone, "wanted": wish},
    )


def _named(zone: str | None) -> str:
    return "no zone" if zone is None else f"zone {zone}"

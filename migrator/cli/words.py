"""Values as people read them."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

NOTHING = "-"
MIB = 1024 * 1024

Words = Callable[[Any], str]


def printable(value: Any) -> str:
    """Text that cannot command a terminal: control and format characters are written as escapes."""
    return "".join(
        char
        if unicodedata.category(char)[0] != "C"
        else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in str(value)
    )


def plain(value: Any) -> str:
    """Anything, without a unit."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(plain(item) for item in value) or NOTHING
    if isinstance(value, dict):
        return ", ".join(f"{key}={plain(item)}" for key, item in value.items()) or NOTHING
    return printable(value)


def size(value: int | None) -> str:
    """Bytes; no decimals from 100 on and for whole MiB below 1 GiB."""
    if value is None:
        return NOTHING
    amount = float(value)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}"
        amount /= 1024
    if amount < 1024:
        return f"{amount:.1f} GiB" if amount < 100 else f"{amount:.0f} GiB"
    return f"{amount / 1024:.1f} TiB"


def size_mib(value: int | None) -> str:
    """MiB."""
    return size(None if value is None else value * MIB)


def rate(value: int | None) -> str:
    """Bytes per second."""
    return NOTHING if value is None else f"{size(value)}/s"


def duration_ms(value: float | None) -> str:
    """Milliseconds: 42 ms, 7.5 s, 3 min 20 s, 2 h 5 min."""
    if value is None:
        return NOTHING
    if value < 1000:
        return f"{value:.0f} ms"
    seconds = value / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def duration_s(value: float) -> str:
    """Seconds, roughly: 7 s, 3 min 20 s, 2 h 5 min."""
    return f"{value:.0f} s" if value < 60 else duration_ms(value * 1000)


def clock(seconds: float) -> str:
    """A running time: 0:07, 12:30, 1:02:03."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def parse_time(value: str) -> datetime:
    """An ISO 8601 time of the API."""
    return datetime.fromisoformat(value)


def when(value: str | None) -> str:
    """A moment, in the operator's time zone."""
    if value is None:
        return NOTHING
    return parse_time(value).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def ago(value: str | None) -> str:
    """How long since a moment, in one unit."""
    if value is None:
        return NOTHING
    seconds = int((datetime.now(UTC) - parse_time(value)).total_seconds())
    for length, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit} ago"
    return f"{max(seconds, 0)} s ago"


def disk_move(disk: Any) -> str:
    """What becomes of one disk of a guest that moves."""
    text = {key: printable(value) for key, value in disk.items() if value is not None}
    what = {
        "copy": "copied from {source} to {destination} ({format}, {size})",
        "shared": "stays {source}, which both hosts share",
        "recreate": "made anew, empty, as {destination} ({format}, {size})",
        "skip": "not copied: {why}",
    }.get(disk["mode"], "{mode}")
    told = what.format(**text, size=size(disk["virtual_size"]))
    on = "".join(f", on {printable(base)}" for base in disk.get("bases", ()))
    return f"{text['target']}: {told}{on}"


def disk(recorded: Any) -> str:
    """One recorded disk of an instance."""
    place = f"{recorded['pool']}/{recorded['volume']}" if recorded["pool"] else NOTHING
    notes = [name.replace("_", "-") for name in ("read_only", "shareable") if recorded[name]]
    notes += [f"on {layer}" for layer in recorded["chain"]]
    facts = (recorded["format"], size(recorded["virtual_size"]), *notes)
    return f"{printable(recorded['target'])}: {printable(place)} ({printable(', '.join(facts))})"


def short_id(value: str | None) -> str:
    """The beginning of an id; the service takes it as long as it fits one only."""
    return NOTHING if value is None else printable(value)[:8]


UNITS: Mapping[str, Words] = {
    "bandwidth": rate,
    "created_at": when,
    "dirty_rate": rate,
    "disk_remaining": size,
    "remaining": size,
    "virtual_size": size,
    "disk_total": size,
    "downtime_ms": duration_ms,
    "finished_at": when,
    "memory_mib": size_mib,
    "claimed_memory_mib": size_mib,
    "memory_remaining": size,
    "memory_total": size,
    "seen_at": when,
    "switched_at": when,
    "total_ms": duration_ms,
    "updated_at": when,
}
"""Field of an API object -> how people read it; the others have no unit."""


def field(name: str, value: Any) -> str:
    """One field of an API object."""
    return UNITS.get(name, plain)(value)

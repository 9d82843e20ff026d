"""What a guest printed, joined over every host it ran on."""

import re
from dataclasses import dataclass

from nested.errors import bad_input
from nested.record import Record

HEARTBEAT = "heartbeat n="
_WALL = re.compile(r"heartbeat n=\d+ .*?wall_ms=(\d+)")
_OPENINGS = (HEARTBEAT, "corrupt ", "leaving: ")


@dataclass(frozen=True)
class Line:
    """One line, the guest's wall clock at or just before it in ms, and whether it was ended."""

    at: float
    text: str
    whole: bool


def path_inside(guest: str) -> str:
    """Return the console's file as a host sees it; the same on all, so that it survives a migration."""
    return f"/var/log/libvirt/qemu/{guest}-console.log"


def forget(record: Record, guest: str) -> None:
    """Remove what an earlier guest of the same name printed."""
    for host in record.host_layouts:
        host.console(guest).unlink(missing_ok=True)


def dated_lines(text: str) -> list[Line]:
    """Date every line of one host's file.

    A guest may be switched in the middle of a line and come back later, so two lines can be glued
    together: they are split where a known opening begins.
    """
    for opening in _OPENINGS:
        text = re.sub(f"(?<=[^\n]){re.escape(opening)}", lambda found: f"\0{found.group()}", text)
    pieces = [
        (piece.rstrip("\n"), piece.endswith("\n"))
        for piece in re.findall(r"[^\n\0]*\n|[^\n\0]+", text)
    ]
    stamps = [
        float(match.group(1)) if (match := _WALL.match(piece)) else None for piece, _ in pieces
    ]
    first = next((stamp for stamp in stamps if stamp is not None), 0.0)
    lines, at = [], first - 1
    for (piece, whole), stamp in zip(pieces, stamps, strict=True):
        at = at if stamp is None else stamp
        if piece:
            lines.append(Line(at, piece, whole))
    return lines


def join(texts: list[str]) -> str:
    """Merge several hosts' files by the guest's own wall clock, mending a line the switch has cut."""
    merged = sorted(
        (line for text in texts for line in dated_lines(text)), key=lambda line: line.at
    )
    out, open_line = [], False
    for line in merged:
        if open_line and line.text.startswith(_OPENINGS):
            out.append("\n")
        out.append(line.text + ("\n" if line.whole else ""))
        open_line = not line.whole
    return "".join(out)


def read(record: Record, guest: str) -> str:
    """Return a guest's console, or refuse when no host ever had it."""
    files = [host.console(guest) for host in record.host_layouts if host.console(guest).exists()]
    if not files:
        raise bad_input("guest.unknown", f"No host has a console log of a guest {guest!r}.")
    return join([path.read_text(errors="replace").replace("\r", "") for path in files])


def heartbeats(text: str) -> list[dict[str, str]]:
    """Return the fields of every heartbeat line in order."""
    return [
        dict(word.split("=", 1) for word in line.split()[1:] if "=" in word)
        for line in text.splitlines()
        if _WALL.match(line)
    ]

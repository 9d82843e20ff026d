"""What a lab left on the machine.  ``down`` ends with this list, and it must be empty."""

import os
from pathlib import Path

from nested import network
from nested.layout import NAMESPACES, LabLayout
from nested.processes import MARK, Process, all_pids, command_line, identify, status
from nested.record import Record


def namespace_ids(record: Record) -> list[int]:
    """Return what identifies the lab's network namespaces once their names are gone."""
    ids = []
    for host in record.host_layouts:
        try:
            ids.append((NAMESPACES / host.name).stat().st_ino)
        except OSError:
            continue
    return ids


def stray_processes(layout: LabLayout, namespaces: list[int]) -> list[Process]:
    """Return a lab's living processes, known by their mark, their namespace or where they work."""
    found = []
    for pid in all_pids():
        if (
            pid != os.getpid()
            and status(pid) not in (None, "Z", "X")
            and _belongs(pid, layout, namespaces)
        ):
            process = identify(pid)
            if process:
                found.append(process)
    return found


def _belongs(pid: int, layout: LabLayout, namespaces: list[int]) -> bool:
    try:
        if os.stat(f"/proc/{pid}/ns/net").st_ino in namespaces:
            return True
        places = (layout.state, layout.bulk_elsewhere)
        working = Path(os.readlink(f"/proc/{pid}/cwd"))
        if any(
            working.is_relative_to(place / "bulk") or working.is_relative_to(place / "database")
            for place in places
        ):
            return True
        return f"{MARK}={layout.state}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(
            b"\0"
        )
    except OSError:
        return False


def find(layout: LabLayout, namespaces: list[int], record: Record | None = None) -> list[str]:
    """Return one line for everything of a lab that is still there; empty when it is gone."""
    lines = [
        f"process {process.pid}: {' '.join(command_line(process.pid))[:100]}"
        for process in stray_processes(layout, namespaces)
    ]
    if record is not None:
        lines += [
            f"network namespace {host.name}"
            for host in record.host_layouts
            if (NAMESPACES / host.name).exists()
        ]
        lines += [f"interface {link}" for link in network.lab_links(layout)]
    lines += [
        f"directory {path}" for path in (layout.state, layout.bulk_elsewhere) if path.exists()
    ]
    places = (f"{layout.state}/", f"{layout.bulk_elsewhere}/")
    lines += [
        f"mount {line.split()[4]}"
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if f"{line.split()[4]}/".startswith(places) or f"{line.split()[3]}/".startswith(places)
    ]
    return lines

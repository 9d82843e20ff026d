"""``hosts``: what a lab consists of, read without asking any daemon that may be frozen."""

from typing import Any

from nested import pools, services
from nested.host import qemu_processes
from nested.layout import HostLayout
from nested.processes import Registry
from nested.record import Record


def describe(record: Record, host: HostLayout) -> dict[str, Any]:
    """Return one host's entry; a process that is not there is null."""
    registry = Registry(record.layout)

    def pid(name: str) -> int | None:
        process = registry.get(f"{name}-{host.name}")
        return process.pid if process else None

    return {
        "name": host.name,
        "libvirt_uri": host.libvirt_uri,
        "peer_uri": host.peer_uri,
        "netns": host.name,
        "address": host.address("control"),
        "control_dev": host.device("control"),
        "migration_address": host.address("migration"),
        "migration_dev": host.device("migration"),
        "pools": pools.backing_directories(host),
        "pids": {
            "anchor": pid("anchor"),
            "libvirtd": pid("libvirtd"),
            "virtlogd": pid("virtlogd"),
            "agent": services.agent_pid(record, host.name),
            "qemu": qemu_processes(host),
        },
    }


def table(entries: list[dict[str, Any]]) -> str:
    """Return the entries for people."""
    rows = [("host", "control", "migration", "libvirtd", "agent", "guests")]
    for entry in entries:
        pids = entry["pids"]
        rows.append(
            (
                entry["name"],
                entry["address"],
                entry["migration_address"],
                str(pids["libvirtd"] or "dead"),
                str(pids["agent"] or "-"),
                ", ".join(pids["qemu"]) or "-",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return (
        "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )
        + "\n"
    )

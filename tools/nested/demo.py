"""The demonstration: a guest moved there and back by migrator, then by bare virsh, measured alike."""

import argparse
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import libvirt
from rich.console import Console
from rich.table import Table

from nested import configuration, console, guest, lifecycle, pools
from nested.errors import LabError, bad_input
from nested.host import connect
from nested.layout import VENV_BIN, HostLayout
from nested.processes import Registry, wait_until
from nested.record import Record, load, load_existing

GUEST = "demo"
MEMORY_MIB, DIRTY_MIB, DIRTY_RATE_MIB_S, DISK_MIB = 256, 48, 16, 64
CALM_BEATS = 3  # a blackout shows in at most two heartbeats after the switch
CALM_SECONDS = 30
SENT_FIELDS = ("memory_processed", "disk_processed")

EXPLANATION = """
total time              of the command; migrator also checks and cleans up
downtime                how long the guest stood still, as libvirt counts it
longest heartbeat gap   the longest silence the guest itself noticed
sent                    memory and disk that went over the network
memory and disk         the guest checks all it wrote; CORRUPT would be a bug

Guests are emulated here: compare the columns, not with real hardware."""

err = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Measurement:
    """One migration.  Times in ms, ``sent`` in bytes; None where nobody could say."""

    by: str
    route: str
    total_ms: float
    downtime_ms: int | None
    gap_ms: float
    sent: int | None
    intact: bool


def main(argv: Sequence[str]) -> int:
    """Run the demonstration and clean up, whatever happens."""
    parser = argparse.ArgumentParser(
        prog="tools/demo",
        description="Starts two nested hosts and migrator, boots a guest, migrates it live there and "
        "back, and prints what was measured beside a bare 'virsh migrate' of the same guest. Works in a "
        "lab of its own; cleans up at the end. Needs root.",
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the lab up and say what to type next"
    )
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if os.geteuid() != 0:
            raise bad_input("lab.root", "The demonstration makes nested hosts and needs root.")
        name = _free_name()
        with _lab(name, arguments.keep):
            _demonstrate(name)
            if arguments.keep:
                _say_what_next(load_existing(name))
        if not arguments.keep:
            print("To type commands yourself: `tools/demo --keep` leaves all of it up.")
    except LabError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("interrupted; everything is cleaned up", file=sys.stderr)
        return 130
    return 0


def _free_name() -> str:
    """Return the name of a lab that is not up: an existing one is never touched."""
    for name in ("demo", *(f"demo{number}" for number in range(2, 10))):
        if load(name) is None:
            return name
    raise bad_input(
        "demo.busy", "Nine demonstrations are up already; MIGRATOR_LAB=demo tools/lab down"
    )


@contextlib.contextmanager
def _lab(name: str, keep: bool) -> Iterator[None]:
    """A lab for the time of the demonstration; kept only when it was asked for and all went well."""
    try:
        yield
    except BaseException:
        _clean_up(name)
        raise
    if not keep:
        _clean_up(name)


def _clean_up(name: str) -> None:
    err.print("cleaning up")
    before = [signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)]
    try:
        remaining = lifecycle.down(name)
    finally:
        for each, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(each, handler)
    if remaining:
        raise LabError("lab.leftover", "; ".join(remaining))


def _demonstrate(name: str) -> None:
    err.print("starting two nested hosts and migrator (standalone)")
    lifecycle.up(name, lifecycle.UpRequest(hosts=2))
    record = load_existing(name)
    here, there = record.host_layouts
    err.print(
        f"booting guest {GUEST} on {here.name}: {MEMORY_MIB} MiB, rewriting {DIRTY_MIB} MiB at "
        f"{DIRTY_RATE_MIB_S} MiB/s, with a disk it writes to"
    )
    disk = pools.DiskRequest("shared", DISK_MIB, "qcow2")
    request = guest.GuestRequest(
        GUEST, here.name, MEMORY_MIB, dirty=DIRTY_MIB, dirty_rate=DIRTY_RATE_MIB_S, disks=(disk,)
    )
    guest.create(record, request)
    results = [
        _measure(record, "migrator", here, there),
        _measure(record, "migrator", there, here),
        _measure(record, "virsh", here, there),
    ]
    _print_table(results)
    if not all(result.intact for result in results):
        raise LabError(
            "demo.corrupt",
            f"The guest found errors in its memory or on its disk:\n{_last_line(record)}",
        )


def _measure(record: Record, by: str, source: HostLayout, destination: HostLayout) -> Measurement:
    """Move the guest once, and let it beat a few times more before its own account is read."""
    route = f"to {destination.name}"
    beats_before = len(_beats(record))
    began = time.monotonic()
    told: dict[str, Any] = {}
    if by == "migrator":
        err.print(f"\n$ migrator migrate {GUEST} --host {destination.name} --wait")
        told = _migrate_by_migrator(record, destination)
    else:
        err.print(f"\n$ virsh migrate --live --p2p {GUEST} {destination.peer_uri}")
        _migrate_by_virsh(source, destination)
    total_ms = (time.monotonic() - began) * 1000
    beats_at_end = len(_beats(record))
    if not wait_until(lambda: len(_beats(record)) >= beats_at_end + CALM_BEATS, CALM_SECONDS, 0.2):
        raise LabError("demo.silent", f"The guest's heartbeat stopped at: {_last_line(record)}")
    beats = _beats(record)[beats_before:]
    statistics = _completed_job(destination)
    return Measurement(
        by,
        route,
        total_ms,
        statistics.get("downtime", told.get("downtime_ms")),
        max(float(beat["gap_last_ms"]) for beat in beats),
        sum(statistics[field] for field in SENT_FIELDS if field in statistics) or None,
        all(beat["mem"] == "ok" and beat["disk"] == "ok" for beat in beats),
    )


def _migrate_by_migrator(record: Record, destination: HostLayout) -> dict[str, Any]:
    """Run the command an operator would, its progress on our stderr; return the JSON it printed."""
    command = [
        str(VENV_BIN / "migrator"),
        "migrate",
        GUEST,
        "--host",
        destination.name,
        "--wait",
        "-f",
        "json",
    ]
    done = subprocess.run(
        command,
        env=os.environ | configuration.service_environment(record.layout),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    told: dict[str, Any] = {}
    with contextlib.suppress(ValueError):
        told = json.loads(done.stdout)
    if done.returncode or told.get("state") != "completed":
        log = Registry(record.layout).log_tail("standalone", 20)
        raise LabError(
            "demo.migration_failed",
            f"{shlex.join(command)} ended with exit code {done.returncode}, state {told.get('state')}. "
            f"The end of the service's log:\n{log}",
        )
    return told


def _migrate_by_virsh(source: HostLayout, destination: HostLayout) -> None:
    """Do by hand what libvirt offers by itself; the destination must look at its pool first."""
    with contextlib.closing(connect(destination)) as connection:
        connection.storagePoolLookupByName("shared").refresh()
    command = [
        "virsh",
        "-q",
        "-c",
        source.libvirt_uri,
        "migrate",
        "--live",
        "--p2p",
        "--persistent",
    ]
    command += ["--undefinesource", "--unsafe", "--verbose", GUEST, destination.peer_uri]
    command += [f"tcp://{destination.address('migration')}"]
    # Without a terminal of its own: virsh would ask for an agent for passwords and complain of none.
    done = subprocess.run(command, stdout=sys.stderr, check=False, start_new_session=True)
    if done.returncode:
        raise LabError("demo.virsh_failed", f"{shlex.join(command)} failed.")
    err.print()


def _completed_job(destination: HostLayout) -> dict[str, int]:
    """Return libvirt's own account of the job that just ended, as the destination kept it."""
    keep = getattr(libvirt, "VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED", 0)
    with (
        contextlib.closing(connect(destination)) as connection,
        contextlib.suppress(libvirt.libvirtError),
    ):
        statistics: dict[str, int] = connection.lookupByName(GUEST).jobStats(
            libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED | keep
        )
        return statistics
    return {}


def _beats(record: Record) -> list[dict[str, str]]:
    return console.heartbeats(console.read(record, GUEST))


def _last_line(record: Record) -> str:
    return console.read(record, GUEST).rstrip().rpartition("\n")[2]


def _print_table(results: list[Measurement]) -> None:
    table = Table(title=f"One guest, {MEMORY_MIB} MiB, moved three times")
    table.add_column("")
    for each in results:
        table.add_column(f"{each.by}\n{each.route}", justify="right")
    figures = {
        "total time": [f"{each.total_ms / 1000:.2f} s" for each in results],
        "downtime": [_or_unknown(each.downtime_ms, "{} ms") for each in results],
        "longest heartbeat gap": [f"{each.gap_ms:.0f} ms" for each in results],
        "sent": [_or_unknown(each.sent and each.sent / 2**20, "{:.1f} MiB") for each in results],
        "memory and disk": ["intact" if each.intact else "CORRUPT" for each in results],
    }
    for figure, values in figures.items():
        table.add_row(figure, *values)
    Console(width=None if sys.stdout.isatty() else 120, highlight=False).print(table)
    print(EXPLANATION, flush=True)


def _or_unknown(value: float | None, form: str) -> str:
    return "unknown" if value is None else form.format(value)


def _say_what_next(record: Record) -> None:
    here, there = record.host_layouts
    lab = f"MIGRATOR_LAB={record.name}"
    steps = {
        f'eval "$({lab} tools/lab env)"': "points this shell at the lab",
        "migrator instance list": "where the guest is",
        f"migrator migrate {GUEST} --host {here.name} --dry-run": "would it fit there",
        f"migrator migrate {GUEST} --host {here.name} --wait": "move it",
        "migrator migration list": "what was done",
        "migrator help": "every command",
        f"tools/lab log {GUEST} | tail -3": "what the guest says",
        "tools/lab --help": "guests, hosts, faults",
        "tools/lab down": "when you are done",
    }
    print(f"\nThe lab is still up, the guest runs on {there.name}. What to type next:\n")
    for command, why in steps.items():
        print(f"  {command:<46}  # {why}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

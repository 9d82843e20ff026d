"""The lab's command line."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence

from nested import configuration, console, faults, guest, inventory, lifecycle, pools, services
from nested.errors import LabError, bad_input
from nested.host import anchor_of, enter
from nested.layout import PLANES, lab_name
from nested.processes import environment
from nested.record import load_existing

DESCRIPTION = """\
Nested libvirt hosts on this machine: network, mount and UTS namespaces with real libvirt daemons,
emulated guests with a heartbeat, migrator's services beside them, and faults on request.  Needs root.

Each host has two planes: control (libvirt, broker, agents; the machine is .1) and migration (guest
memory and disks).  Everything is in /run/migrator-lab; 'down' removes all of it."""
EPILOG = """\
environment:
  MIGRATOR_LAB=NAME   work on a second, independent lab: /run/migrator-lab-NAME, hosts NAME-h1, ...

example:
  tools/lab up && eval "$(tools/lab env)"
  tools/lab guest g1 --host h1 --dirty 64 --dirty-rate 20 --disk shared:64:qcow2
  migrator migrate g1 --host h2 --wait
  tools/lab log g1 | tail -3
  tools/lab down"""


def main(argv: Sequence[str]) -> int:
    """Run one command; errors go to stderr as ``code: sentence``."""
    arguments = _parser().parse_args(argv)
    try:
        if os.geteuid() != 0:
            raise bad_input(
                "lab.root", "The lab makes network namespaces and mounts and needs root."
            )
        command: Callable[[argparse.Namespace], int] = arguments.command
        return command(arguments)
    except LabError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130


def _up(arguments: argparse.Namespace) -> int:
    request = lifecycle.UpRequest(
        arguments.hosts,
        arguments.broker,
        arguments.conductors,
        not arguments.no_services,
        arguments.confirm_window,
        arguments.tls,
    )
    started = lifecycle.up(lab_name(), request)
    record = load_existing(lab_name())
    print(
        f"up: {', '.join(host.name for host in record.host_layouts)}; started {len(started)} of "
        f"{len(lifecycle.alive(record))} processes",
        file=sys.stderr,
    )
    return 0


def _down(_: argparse.Namespace) -> int:
    remaining = lifecycle.down(lab_name())
    for line in remaining:
        print(f"lab.leftover: {line}", file=sys.stderr)
    return 1 if remaining else 0


def _env(_: argparse.Namespace) -> int:
    sys.stdout.write(configuration.shell_exports(load_existing(lab_name()).layout))
    return 0


def _hosts(arguments: argparse.Namespace) -> int:
    record = load_existing(lab_name())
    entries = [inventory.describe(record, host) for host in record.host_layouts]
    sys.stdout.write(
        json.dumps(entries, indent=1) + "\n"
        if arguments.format == "json"
        else inventory.table(entries)
    )
    return 0


def _guest(arguments: argparse.Namespace) -> int:
    request = guest.GuestRequest(
        name=arguments.name,
        host=arguments.host,
        memory=arguments.memory,
        vcpus=arguments.vcpus,
        pins=_cpu_list(arguments.pin),
        disks=tuple(pools.parse_disk(text) for text in arguments.disk),
        dirty=arguments.dirty,
        dirty_rate=arguments.dirty_rate,
        writes=arguments.writes,
        fill=arguments.fill,
        beat=arguments.beat,
        transient=arguments.transient,
        cdrom=arguments.cdrom,
        shared_memory=arguments.shared_memory,
    )
    guest.create(load_existing(lab_name()), request)
    return 0


def _cpu_list(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise bad_input(
            "guest.pin", f"{text!r} is not a list of CPU numbers such as 0,1."
        ) from error


def _remove(arguments: argparse.Namespace) -> int:
    guest.remove(load_existing(lab_name()), arguments.name)
    return 0


def _log(arguments: argparse.Namespace) -> int:
    sys.stdout.write(console.read(load_existing(lab_name()), arguments.name))
    sys.stdout.flush()
    return 0


def _exec(arguments: argparse.Namespace) -> int:
    record = load_existing(lab_name())
    host = record.host(arguments.host)
    if not arguments.argv:
        raise bad_input("exec.command", "Say what to run: exec HOST CMD...")
    words = enter(anchor_of(host))
    words.insert(-1, f"--wd={os.getcwd()}")
    marked = os.environ | {
        name: value for name, value in environment(record.layout).items() if name not in os.environ
    }
    try:
        return subprocess.run([*words, *arguments.argv], env=marked, check=False).returncode
    except KeyboardInterrupt:
        return 130


def _cut(arguments: argparse.Namespace) -> int:
    change = faults.cut if arguments.verb == "cut" else faults.heal
    change(load_existing(lab_name()).host(arguments.host), arguments.plane)
    return 0


def _limit(arguments: argparse.Namespace) -> int:
    faults.limit(load_existing(lab_name()).host(arguments.host), arguments.mbit)
    return 0


def _signal(arguments: argparse.Namespace) -> int:
    faults.signal_target(
        load_existing(lab_name()), arguments.verb, arguments.target, arguments.name, arguments.on
    )
    return 0


def _skew(arguments: argparse.Namespace) -> int:
    services.set_clock(
        load_existing(lab_name()), arguments.target, arguments.name, arguments.seconds
    )
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        self.print_usage(sys.stderr)
        self.exit(2, f"lab.usage: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tools/lab",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(
        name: str, command: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(command=command)
        return sub

    sub = verb("up", _up, "Start a lab; on a running one, restart what died (or add hosts).")
    sub.add_argument("--hosts", type=int, metavar="N", help="number of hosts (new lab: 2)")
    sub.add_argument(
        "--broker",
        choices=("rabbit",),
        help="a private RabbitMQ and PostgreSQL, and one process per service; "
        "without it one process does everything on SQLite",
    )
    sub.add_argument(
        "--conductors",
        type=int,
        metavar="N",
        help="number of conductors, c1 to cN (needs --broker)",
    )
    sub.add_argument(
        "--no-services",
        action="store_true",
        help="only hosts, pools and (with --broker) the two servers",
    )
    sub.add_argument(
        "--confirm-window",
        type=float,
        metavar="SECONDS",
        help="how long a cold move's source keeps the guest (new lab: 0); services started from now on",
    )
    sub.add_argument(
        "--tls",
        action="store_true",
        help="an authority and certificates for every host: libvirt by TLS only, migrations encrypted",
    )
    verb(
        "env",
        _env,
        "Print shell exports: MIGRATOR_ENDPOINT, PATH (and MIGRATOR_LAB); use with eval.",
    )

    sub = verb(
        "guest",
        _guest,
        "Boot a guest; returns after its first heartbeat and once migrator knows it.",
    )
    sub.add_argument("name", metavar="NAME")
    sub.add_argument("--host", required=True, metavar="H")
    sub.add_argument("--memory", type=int, default=256, metavar="MIB", help="default 256")
    sub.add_argument(
        "--dirty", type=int, default=0, metavar="MIB", help="memory it rewrites over and over"
    )
    sub.add_argument(
        "--dirty-rate", type=int, default=0, metavar="MIB_S", help="how fast (0 = without pause)"
    )
    sub.add_argument(
        "--fill", type=int, default=0, metavar="MIB", help="memory it fills once and only checks"
    )
    sub.add_argument(
        "--disk",
        action="append",
        default=[],
        metavar="POOL:SIZE_MIB:FORMAT",
        help="pool local or shared, format raw or qcow2; volumes NAME-vda, NAME-vdb, ...; repeatable",
    )
    sub.add_argument(
        "--writes",
        type=int,
        default=20,
        metavar="N",
        help="blocks of 4 KiB it writes to each disk in a second, default 20",
    )
    sub.add_argument(
        "--beat",
        type=int,
        default=10,
        metavar="MS",
        help="between looks at its clocks and checks of memory, default 10; a slow one costs little",
    )
    sub.add_argument("--vcpus", type=int, default=1, metavar="N")
    sub.add_argument(
        "--pin", metavar="CPU,CPU", help="one CPU of this machine for each virtual CPU"
    )
    sub.add_argument("--transient", action="store_true", help="no persistent definition")
    sub.add_argument("--cdrom", action="store_true", help="a cdrom drive without a medium")
    sub.add_argument(
        "--shared-memory",
        action="store_true",
        help="a memory region shared with its host (ivshmem)",
    )
    sub = verb(
        "remove", _remove, "Destroy a guest wherever it is and delete its definitions and volumes."
    )
    sub.add_argument("name", metavar="NAME")
    sub = verb("log", _log, "Print a guest's console, joined over the hosts it ran on.")
    sub.add_argument("name", metavar="NAME")

    sub = verb("hosts", _hosts, "Show the hosts: addresses, devices, pools, pids.")
    sub.add_argument("-f", "--format", choices=("table", "json"), default="table")
    sub = verb("exec", _exec, "Run a command inside a host's namespaces.")
    sub.add_argument("host", metavar="HOST")
    sub.add_argument("argv", nargs=argparse.REMAINDER, metavar="CMD")

    for name, text in (
        ("cut", "Drop all packets of a plane; connections stall."),
        ("heal", "Undo cut."),
    ):
        sub = verb(name, _cut, text)
        sub.add_argument("host", metavar="HOST")
        sub.add_argument("--plane", choices=PLANES, help="without it both")
    sub = verb("limit", _limit, "Slow a host's migration plane in both directions.")
    sub.add_argument("host", metavar="HOST")
    sub.add_argument("mbit", type=int, metavar="MBIT", help="Mbit/s; 0 takes the limit away")
    sub = verb(
        "skew", _skew, "Start an agent or a conductor again with its wall clock wrong; 0 mends it."
    )
    sub.add_argument("target", choices=("agent", "conductor"))
    sub.add_argument("name", metavar="HOST|CONDUCTOR")
    sub.add_argument("seconds", type=int, metavar="SECONDS", help="ahead; behind with a minus")
    for name, text in (("kill", "SIGKILL"), ("stop", "SIGSTOP"), ("cont", "SIGCONT")):
        sub = verb(name, _signal, f"Send {text} to processes of the lab.")
        sub.add_argument("target", choices=faults.TARGETS)
        sub.add_argument(
            "name",
            nargs="?",
            metavar="HOST|GUEST",
            help="host, agent, libvirtd: a host; qemu: a guest; "
            "conductor: c1, c2...; without it all of the kind",
        )
        sub.add_argument(
            "--on",
            metavar="HOST",
            help="qemu only: which side of a moving guest (else the older one)",
        )
    verb("down", _down, "Remove the lab and everything it made.")
    return parser

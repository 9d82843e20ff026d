"""Ways to hurt a lab: cut and slow links, kill and freeze processes; ``heal`` and ``up`` mend it."""

import signal
import sys

from nested import broker, database, network, services
from nested.errors import LabError, bad_input
from nested.host import qemu_processes
from nested.layout import NAMESPACES, PLANES, HostLayout
from nested.processes import Process, Registry, identify, run, wait_until
from nested.record import Record

SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "cont": signal.SIGCONT}
TARGETS = ("host", "agent", "libvirtd", "qemu", "conductor", "api", "broker", "database")
SETTLE_SECONDS = 5
SMALLEST_BURST, LARGEST_BURST = 64 * 1024, 1024 * 1024


def cut(host: HostLayout, plane: str | None) -> None:
    """Drop every packet of a plane (of both without one): connections stall, nobody is told."""
    for rule in _drop_rules(host, plane):
        if not _is_cut(host, rule):
            run("ip", "netns", "exec", host.name, "iptables", "-w", "-I", *rule)


def heal(host: HostLayout, plane: str | None) -> None:
    """Let packets pass again."""
    for rule in _drop_rules(host, plane):
        while _is_cut(host, rule):
            run("ip", "netns", "exec", host.name, "iptables", "-w", "-D", *rule)


def _drop_rules(host: HostLayout, plane: str | None) -> list[tuple[str, ...]]:
    _require_namespace(host)
    planes = PLANES if plane is None else (plane,)
    return [
        rule
        for each in planes
        for rule in (
            ("INPUT", "-i", host.device(each), "-j", "DROP"),
            ("OUTPUT", "-o", host.device(each), "-j", "DROP"),
        )
    ]


def _is_cut(host: HostLayout, rule: tuple[str, ...]) -> bool:
    listed = run("ip", "netns", "exec", host.name, "iptables", "-w", "-S", rule[0])
    return f"-A {' '.join(rule)}" in listed.splitlines()


def limit(host: HostLayout, mbit: int) -> None:
    """Slow the migration plane to this many Mbit/s in both directions; 0 takes the limit away."""
    _require_namespace(host)
    if mbit < 0:
        raise bad_input("limit.rate", "A limit is a number of Mbit/s, or 0 for none.")
    ends = ((("-n", host.name), host.device("migration")), ((), host.port("migration")))
    for namespace, device in ends:
        if mbit == 0:
            run("tc", *namespace, "qdisc", "del", "dev", device, "root", check=False)
            continue
        burst = min(
            LARGEST_BURST, max(SMALLEST_BURST, mbit * 1_000_000 // 8 // 50)
        )  # what passes in 20 ms
        run(
            "tc",
            *namespace,
            "qdisc",
            "replace",
            "dev",
            device,
            "root",
            "tbf",
            "rate",
            f"{mbit}mbit",
            "burst",
            str(burst),
            "latency",
            "50ms",
        )


def _require_namespace(host: HostLayout) -> None:
    if (
        not (NAMESPACES / host.name).exists()
        or not (network.LINKS / host.port("migration")).exists()
    ):
        raise LabError(
            "host.down", f"Host {host.name} is not running; 'tools/lab up' starts it again."
        )


def signal_target(
    record: Record, verb: str, target: str, name: str | None, host: str | None
) -> list[int]:
    """Kill, stop or continue something; return the pids that were signalled."""
    victims = _victims(record, target, name, host)
    if not victims:
        raise bad_input(
            "fault.no_process", f"No running {target}{f' {name}' if name else ''} to {verb}."
        )
    hit = [process for process in victims if process.send(SIGNALS[verb])]
    wait_until(lambda: all(_shows(verb, process) for process in hit), SETTLE_SECONDS)
    return [process.pid for process in hit]


def _shows(verb: str, process: Process) -> bool:
    """Say whether a signal has had its effect: callers look at once."""
    if verb == "kill":
        return not process.is_alive()
    return process.is_stopped() == (verb == "stop")


def _victims(record: Record, target: str, name: str | None, host: str | None) -> list[Process]:
    if target == "host":
        return _all_of_host(record, name)
    if target == "qemu":
        if name is None:
            raise bad_input("fault.guest", "Say which guest: kill qemu GUEST.")
        return _qemu_of(record, name, host)
    return _daemons(record, target, name)


def _daemons(record: Record, target: str, name: str | None) -> list[Process]:
    if target == "libvirtd":
        hosts = [record.host(name)] if name else record.host_layouts
        found = [Registry(record.layout).get(f"libvirtd-{each.name}") for each in hosts]
        return [process for process in found if process]
    if target == broker.NAME:
        return broker.processes(record)
    if target == database.NAME:
        return database.processes(record)
    if not record.services:
        raise bad_input("fault.no_services", "This lab was started with --no-services.")
    if target == "agent" and name:
        record.host(name)
    if target == "conductor" and name and record.broker and name not in record.conductor_names:
        raise bad_input(
            "fault.conductor",
            f"No conductor {name!r}; there are {', '.join(record.conductor_names)}.",
        )
    if not record.broker:
        print(
            "note: standalone, so agents, conductor and API are one process; all of it is hit.",
            file=sys.stderr,
        )
    return services.processes(record, target, name)


def _all_of_host(record: Record, name: str | None) -> list[Process]:
    """Return all that works on one host, as its power cut would end it."""
    if name is None:
        raise bad_input("fault.host", "Say which host: kill host HOST.")
    host = record.host(name)
    daemon = Registry(record.layout).get(f"libvirtd-{name}")
    guests = [identify(pid) for pid in qemu_processes(host).values()]
    agents = services.processes(record, "agent", name) if record.broker else []
    return [process for process in (daemon, *guests, *agents) if process]


def _qemu_of(record: Record, guest: str, host: str | None) -> list[Process]:
    """Return the guest's QEMU; while it migrates there are two, and the older one is the source's."""
    hosts = [record.host(host)] if host else record.host_layouts
    pids = [qemu_processes(each).get(guest) for each in hosts]
    processes = [process for pid in pids if pid is not None and (process := identify(pid))]
    return sorted(processes, key=lambda process: process.started)[:1]

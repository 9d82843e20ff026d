"""migrator-status: is everything there that the daemons will need? Asked before they start.

Each check is one row: what was looked at, ok, warning or failed, why, and what to do. Nothing is
changed, but for probes that are removed again (:mod:`migrator.compute_agent.libvirt_probe`).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import permutations

from oslo_config import cfg

from migrator import addresses, config, rpc, service
from migrator.compute_agent.libvirt_probe import (
    HostLook,
    PairProbe,
    ProbedHost,
    leftover_sentence,
)
from migrator.db import file_lock, schema
from migrator.errors import MigratorError
from migrator.model import HostAddresses
from migrator.version import version

OK, WARNING, FAILED = "ok", "warning", "failed"

BROKER_S = 5.0
"""A broker answers in milliseconds; one that needs longer is of no use either."""

AT_A_TIME = 16
"""Hosts or pairs looked at together; a daemon serves five requests of a client at a time."""

OLDEST_LIBVIRT = 9_000_000
"""9.0.0: the oldest release migrations have been tried on."""


@dataclass(frozen=True)
class Row:
    """One check's answer."""

    check: str
    result: str
    why: str
    remedy: str = ""


def check_database(url: str) -> Row:
    """Reachable, and at the revision this release needs."""
    if file_lock.is_missing(url):
        return Row("database", OK, "the file does not exist yet; migrator-standalone makes it")
    try:
        found = schema.current(url)
        if found is None and file_lock.lock_path(url) is not None:
            return Row("database", OK, "empty; migrator-standalone fills it")
        schema.check(url)
    except MigratorError as error:
        return _failed("database", error)
    return Row("database", OK, f"reachable, at revision {found}")


def check_broker(conf: cfg.ConfigOpts) -> Row:
    """Takes us in, if there is one."""
    if conf.transport_url.startswith("inproc:"):
        return Row("broker", OK, "none is needed: everything runs in one process")
    try:
        rpc.probe(conf, conf.transport_url, BROKER_S)
    except MigratorError as error:
        return _failed("broker", error, "start it, or correct transport_url")
    return Row("broker", OK, "reachable, and takes this user")


def check_encryption(conf: cfg.ConfigOpts, hosts: Mapping[str, HostAddresses]) -> Iterator[Row]:
    """Whether what is required can be met, as far as the configuration shows it."""
    if conf.migration_encryption == "off":
        why = "migrations travel in the clear (migration_encryption = off)"
        yield Row("encryption", WARNING, why, "fine where nobody else reads or writes the network")
        return
    for name, host in hosts.items():
        if not addresses.is_encrypted(host.peer_uri):
            why = f"tls.required: peer_uri {host.peer_uri} is not encrypted"
            remedy = "use qemu+tls://, or set migration_encryption = off on a private network"
            yield Row(f"encryption {name}", FAILED, why, remedy)
        elif "no_verify=1" in host.peer_uri:
            why = f"peer_uri {host.peer_uri} accepts any certificate"
            yield Row(f"encryption {name}", FAILED, why, "remove no_verify=1")
        else:
            yield Row(f"encryption {name}", OK, "the control connection is encrypted")


def check_host(host: ProbedHost) -> tuple[Row, HostLook | None]:
    """Its libvirt answers and is new enough."""
    check = f"libvirt {host.name}"
    try:
        look = host.look()
    except MigratorError as error:
        return _failed(check, error), None
    said = f"libvirt {_dotted(look.libvirt_version)}, QEMU {_dotted(look.hypervisor_version)}"
    if look.leftovers:
        remedy = leftover_sentence(host.name, host.libvirt_uri, look.leftovers)
        return Row(check, WARNING, said, remedy), look
    if look.libvirt_version < OLDEST_LIBVIRT:
        remedy = f"upgrade it to {_dotted(OLDEST_LIBVIRT)} or newer"
        return Row(check, WARNING, f"{said}: older than anything that was tried", remedy), look
    return Row(check, OK, said), look


def check_versions(looks: Mapping[str, HostLook]) -> Iterator[Row]:
    """Guests move to the same or a newer version."""
    versions = {
        name: (look.libvirt_version, look.hypervisor_version) for name, look in looks.items()
    }
    newest = max(versions.values(), default=(0, 0))
    behind = [name for name, pair in versions.items() if pair[0] < newest[0] or pair[1] < newest[1]]
    if behind:
        why = f"{', '.join(behind)}: older libvirt or QEMU than other hosts"
        yield Row(
            "versions", WARNING, why, "guests move to the same or a newer version; upgrade them"
        )


def check_pair(probe: PairProbe, looks: tuple[HostLook, HostLook]) -> Row:
    """The source's libvirt hands a definition to the destination's."""
    check = f"{probe.source.name} -> {probe.destination.name}"
    try:
        probe.run(looks)
    except MigratorError as error:
        remedy = f"on {probe.source.name}: virsh -c '{probe.destination.peer_uri}' uri"
        return _failed(check, error, remedy)
    return Row(check, OK, "its libvirt reaches the other one's")


def check_fleet(hosts: Mapping[str, HostAddresses]) -> Iterator[Row]:
    """Every host, then every ordered pair of those that answered."""
    probed = [ProbedHost(name, host.libvirt_uri, host.peer_uri) for name, host in hosts.items()]
    with ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="check") as pool:
        answers = list(pool.map(check_host, probed))
        looks = {host.name: look for host, (_, look) in zip(probed, answers, strict=True) if look}
        yield from (row for row, _ in answers)
        yield from check_versions(looks)
        reached = [host for host in probed if host.name in looks]
        probes = [
            PairProbe(source, destination) for source, destination in permutations(reached, 2)
        ]
        yield from pool.map(
            lambda probe: check_pair(
                probe, (looks[probe.source.name], looks[probe.destination.name])
            ),
            probes,
        )
        yield from filter(None, pool.map(_clean_up, probes))
    for host in probed:
        host.close()


def _clean_up(probe: PairProbe) -> Row | None:
    if probe.waits:
        print(
            f"waiting for the libvirt of {probe.source.name} to give up on"
            f" {probe.destination.name}, to remove {probe.name} (up to three minutes)",
            file=sys.stderr,
        )
    try:
        probe.clean_up()
    except MigratorError as error:
        return _failed(f"{probe.source.name} -> {probe.destination.name}", error)
    return None


def run_checks(arguments: Sequence[str]) -> Iterator[Row]:
    """All of them; the fleet is not looked at under a configuration that is not valid."""
    try:
        conf = config.load(arguments, "migrator-status")
    except MigratorError as error:
        yield _failed("configuration", error)
        return
    hosts = config.hosts(conf)
    if hosts:
        yield Row("configuration", OK, f"{len(hosts)} hosts")
    else:
        yield Row("configuration", WARNING, "no hosts", "list them in [fleet] hosts")
    yield check_database(conf.database.connection)
    yield check_broker(conf)
    yield from check_encryption(conf, hosts)
    yield from check_fleet(hosts)


def _failed(check: str, error: MigratorError, remedy: str = "") -> Row:
    return Row(check, FAILED, str(error), remedy)


def _dotted(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"


def _print_rows(rows: Iterable[Row]) -> Sequence[Row]:
    """As they come, so that one slow host hides nothing that is known already."""
    shown = []
    for row in rows:
        shown.append(row)
        print(f"{row.result:<8} {row.check}: {row.why}", flush=True)
        if row.remedy:
            print(f"{'':<8} -> {row.remedy}", flush=True)
    return shown


def main() -> int:
    """The console script: exit 0 ok or warnings, 2 a problem was found."""
    return service.entry(_run)


def _run(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="migrator-status", description="Check before starting.")
    parser.add_argument("--version", action="version", version=version())
    config.add_file_arguments(parser)
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    check = verbs.add_parser("check", help="look at everything the daemons need")
    check.add_argument("-f", "--format", choices=("table", "json"), default="table")
    asked = parser.parse_args(argv)
    # The rows say everything; what parts log meanwhile would only stand between them.
    logging.getLogger().addHandler(logging.NullHandler())
    rows = run_checks(config.file_arguments(asked))
    if asked.format == "json":
        shown: Sequence[Row] = list(rows)
        print(json.dumps([asdict(row) for row in shown], indent=2))
    else:
        shown = _print_rows(rows)
    return 2 if any(row.result == FAILED for row in shown) else 0

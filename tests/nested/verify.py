"""What must be true of a lab whenever nothing is under way; every nested test ends here."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.nested.lab import Document, Host, Lab

MARK = "migrator/xmlns/attempt"
PROOFS = (".migrator-token", ".migrator-nonce-")
"""Volumes that stay in a pool; those that tell of a volume being made do not."""
SETTLES_WITHIN_S = 45
"""Reports of agents come every 5 s, to-dos are tried again after up to 8 s."""
NEW_BEATS = 2
MIGRATION_PORTS = range(49152, 49216)
"""libvirt's, for memory and disks."""


def verify(lab: Lab) -> None:
    """Wait until everything is as it should be, or say what is not.

    :raises AssertionError: with every sentence that is still wrong.
    """
    before = {guest: len(lab.beats(guest)) for guest in _running(lab)}
    deadline = time.monotonic() + SETTLES_WITHIN_S
    while wrong := list(_wrong(lab, before)):
        assert time.monotonic() < deadline, "\n".join(["", *wrong])
        time.sleep(0.3)


def _running(lab: Lab) -> Sequence[str]:
    return [guest for guest, state in lab.guests.items() if state == "running"]


def _wrong(lab: Lab, beats_before: Mapping[str, int]) -> Iterator[str]:
    homes = dict(_homes(lab))
    yield from _on_hosts(lab, homes)
    yield from _in_service(lab, homes)
    yield from _volumes(lab)
    yield from _verified(lab)
    for host in lab.hosts:
        yield from _network(lab, host, homes)
    for guest in _running(lab):
        yield from _beating(lab, guest, beats_before[guest])


def _homes(lab: Lab) -> Iterator[tuple[str, list[str]]]:
    """Guest -> hosts with a QEMU of it, found in /proc."""
    described = lab.describe()
    names = {guest for host in described for guest in host["pids"]["qemu"]}
    for guest in names | set(lab.guests):
        yield guest, [host["name"] for host in described if guest in host["pids"]["qemu"]]


def _on_hosts(lab: Lab, homes: Mapping[str, list[str]]) -> Iterator[str]:
    """Each guest executes on one host, and no other host knows it."""
    with ThreadPoolExecutor(max_workers=len(lab.hosts)) as workers:
        known = dict(
            zip(lab.hosts, workers.map(lambda each: _domains(lab, each), lab.hosts), strict=True)
        )
    for guest, hosts in homes.items():
        expected = lab.guests.get(guest)
        if expected is None:
            yield f"a QEMU of {guest} on {hosts}, and no test knows that guest"
        elif len(hosts) != 1:
            yield f"{guest} has a QEMU on {hosts or 'no host'}"
        states = {
            host.name: domains[guest][0] for host, domains in known.items() if guest in domains
        }
        if expected and states != dict.fromkeys(hosts, expected):
            yield f"{guest} should be {expected} on {hosts}, libvirt says {states}"
    for host, domains in known.items():
        for guest in set(domains) - set(lab.guests):
            yield f"{host.name} has a domain {guest} that no test knows"
        for guest, (_, xml) in domains.items():
            if MARK in xml:
                yield f"{guest} on {host.name} still carries an attempt's mark"


def _domains(lab: Lab, host: Host) -> Mapping[str, tuple[str, str]]:
    """Name -> (state, live and inactive XML)."""
    return {
        guest: (
            lab.state_on(host, guest),
            lab.virsh(host, "dumpxml", guest, check=False)
            + lab.virsh(host, "dumpxml", "--inactive", guest, check=False),
        )
        for guest in lab.names_on(host)
    }


def _in_service(lab: Lab, homes: Mapping[str, list[str]]) -> Iterator[str]:
    """Owner, claims and migrations say what is so."""
    instances: list[Document] = lab.api("v1", "instances")["instances"]
    living = {each["name"]: each for each in instances if each["status"] != "gone"}
    for guest, state in lab.guests.items():
        shown = living.pop(guest, None)
        if shown is None:
            yield f"the service does not know {guest}"
        elif [shown["host"], shown["status"]] != [*homes[guest], state]:
            said = f"{shown['status']} on {shown['host']}"
            yield f"the service says that {guest} is {said}, and it is {state} on {homes[guest]}"
    yield from (f"the service has an instance {name}: {each}" for name, each in living.items())
    claims = sorted(
        (c["host"], c["instance"], c["purpose"]) for c in lab.api("v1", "claims")["claims"]
    )
    wanted = sorted((host, guest, "use") for guest in lab.guests for host in homes[guest])
    if claims != wanted:
        yield f"claims are {claims}, should be {wanted}"
    for each in lab.api("v1", "migrations", active="true")["migrations"]:
        yield f"migration {each['id']} is {each['state']}: {each['needs_attention']}"


def _verified(lab: Lab) -> Iterator[str]:
    """The product's own verification agrees."""
    said = lab.verify()
    if said.status != 0:
        yield f"migrator-manage verify: {said.out}{said.err}"


def _network(lab: Lab, host: Host, homes: Mapping[str, list[str]]) -> Iterator[str]:
    """No port of a migration is open, and no network device is left of a guest that is not there."""
    looked = lab.tool("exec", host.name, "sh", "-c", "ss -Hltn; ip -br link").out
    for line in looked.splitlines():
        words = line.split()
        if words[0] == "LISTEN":
            port = int(words[3].rpartition(":")[2])
            if port in MIGRATION_PORTS:
                yield f"{host.name} still listens on {words[3]}"
        elif words[0].startswith("vnet") and not any(host.name in on for on in homes.values()):
            yield f"{host.name} has no guest, and still the network device {words[0]}"


def _volumes(lab: Lab) -> Iterator[str]:
    """Nothing lies in a pool that no guest owns, but what proves which storage the pool is."""
    for host in lab.hosts:
        for pool, directory in host.pools.items():
            for path in Path(directory).iterdir():
                owned = path.name.rpartition("-vd")[0] in lab.guests
                if not owned and not path.name.startswith(PROOFS):
                    yield f"volume {path.name} is left in pool {pool} of {host.name}"


def _beating(lab: Lab, guest: str, before: int) -> Iterator[str]:
    """It goes on, has lost nothing, and never ran twice: then a line's number would come again."""
    beats = lab.beats(guest)
    if len(beats) < before + NEW_BEATS:
        yield f"the heart of {guest} does not beat: {beats[-1:]}"
    for beat in beats[-NEW_BEATS:]:
        if beat["mem"] != "ok" or beat["disk"] not in ("ok", "none"):
            yield f"{guest} found damage: {beat}"
    every = [int(beat["n"]) for beat in beats]
    # A guest that was off has begun to count anew.
    booted = len(every) - 1 - every[::-1].index(1) if 1 in every else 0
    numbers = every[booted:]
    if len(set(numbers)) != len(numbers):
        yield f"{guest} ran in two places: {sorted(n for n in numbers if numbers.count(n) > 1)}"

"""Looks at hosts before any migration: versions, and whether two libvirt daemons reach each other.

A pair is proven by the daemons themselves. Whether they do depends on their own certificates, keys,
resolvers and firewalls, of which this process knows nothing, so an inactive definition without a disk
is migrated offline from one to the other and removed again on both. No QEMU process starts.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree import ElementTree

import libvirt

from migrator.compute_agent.capabilities import host_capabilities, machine_types
from migrator.compute_agent.libvirt_connections import Channel
from migrator.compute_agent.libvirt_names import PROBE_PREFIX
from migrator.errors import MigratorError, Refused, Transient

LOOK_S = 15.0
"""A libvirtd that has just started probes its QEMUs for several seconds before it answers."""

PEER_S = 20.0
"""For one pair. Some 0.1 s between hosts that know each other, 8 s when both still probe their QEMUs."""

GIVE_UP_S = 180.0
"""A source libvirtd waits for a peer that is silent until the kernel gives up (135 s with Linux's
defaults) and lets nobody touch the definition meanwhile."""

MACHINE_FAMILIES = ("pc-q35-", "pc-i440fx-", "virt-", "s390-ccw-virtio-", "pseries-")
"""Of QEMU's machines, those that ordinary guests use, in versions that mean the same everywhere."""

OFFLINE_FLAGS = (
    libvirt.VIR_MIGRATE_OFFLINE | libvirt.VIR_MIGRATE_PEER2PEER | libvirt.VIR_MIGRATE_PERSIST_DEST
)


@dataclass(frozen=True)
class HostLook:
    """What one host's libvirt answered; versions as libvirt writes them."""

    libvirt_version: int
    hypervisor_version: int
    capabilities: str
    leftovers: tuple[str, ...]
    """Probes' definitions that an interrupted check left behind."""


class ProbedHost:
    """One host's libvirt, as far as a preflight check needs it."""

    def __init__(self, name: str, libvirt_uri: str, peer_uri: str) -> None:
        self.name = name
        self.libvirt_uri = libvirt_uri
        self.peer_uri = peer_uri
        self.calls = Channel(libvirt_uri, "probe")

    def look(self) -> HostLook:
        """:raises Transient: ``libvirt.unreachable``, ``libvirt.timeout``, ``libvirt.error``."""

        def read(conn: libvirt.virConnect) -> HostLook:
            names = (domain.name() for domain in conn.listAllDomains())
            return HostLook(
                conn.getLibVersion(),
                conn.getVersion(),
                conn.getCapabilities(),
                tuple(name for name in names if name.startswith(PROBE_PREFIX)),
            )

        return self.calls.call(f"looking at {self.name}", read, LOOK_S)

    def has(self, instance_id: str) -> bool:
        """Whether it knows that domain."""
        return self.calls.call(
            "looking for a probe", lambda conn: _find(conn, instance_id) is not None
        )

    def remove(self, instance_id: str, deadline_s: float) -> None:
        """Undefine the probe; success when there is none."""

        def undefine(conn: libvirt.virConnect) -> None:
            domain = _find(conn, instance_id)
            if domain is not None:
                domain.undefine()

        self.calls.call(f"removing a probe from {self.name}", undefine, deadline_s)

    def close(self) -> None:
        self.calls.close()


def probe_definition(instance_id: str, source: HostLook, destination: HostLook) -> str:
    """A domain both hosts could run, with nothing in it.

    :raises Refused: ``machine.unsupported`` when there is no such thing.
    """
    arch = host_capabilities(source.capabilities).arch
    for virt_type in ("kvm", "qemu"):
        machine = _machine_in_common(
            machine_types(source.capabilities, arch, virt_type),
            machine_types(destination.capabilities, arch, virt_type),
        )
        if machine is None:
            continue
        domain = ElementTree.Element("domain", {"type": virt_type})
        ElementTree.SubElement(domain, "name").text = PROBE_PREFIX + instance_id[:8]
        ElementTree.SubElement(domain, "uuid").text = instance_id
        ElementTree.SubElement(domain, "memory", {"unit": "MiB"}).text = "1"
        system = ElementTree.SubElement(domain, "os")
        kind = ElementTree.SubElement(system, "type", {"arch": arch, "machine": machine})
        kind.text = "hvm"
        return ElementTree.tostring(domain, encoding="unicode")
    raise Refused(
        "machine.unsupported",
        f"the hosts have no machine type of {arch} in common, so no guest can move between them;"
        " install the same QEMU on both",
    )


def _machine_in_common(source: Iterable[str], destination: Iterable[str]) -> str | None:
    """A versioned machine type: an alias becomes whatever is newest on the host that defines it."""
    common = set(source) & set(destination)
    for family in MACHINE_FAMILIES:
        versioned = sorted(name for name in common if name.startswith(family))
        if versioned:
            return versioned[-1]
    return None


class PairProbe:
    """One ordered pair: start it, read the verdict, then see to it that nothing stays."""

    def __init__(self, source: ProbedHost, destination: ProbedHost) -> None:
        self.source = source
        self.destination = destination
        self._id = str(uuid.uuid4())
        self._sender: Channel | None = None
        self._ended = threading.Event()
        self._ended.set()
        self._error: MigratorError | None = None

    @property
    def name(self) -> str:
        """Of the definition."""
        return PROBE_PREFIX + self._id[:8]

    def run(self, looks: tuple[HostLook, HostLook]) -> None:
        """Return when the source's daemon has handed the definition to the destination's.

        :raises Refused: ``machine.unsupported``.
        :raises Transient: ``libvirt.unreachable`` when the daemons do not reach each other, or when
            ``peer_uri`` leads to another machine; ``libvirt.timeout``, ``libvirt.error``.
        """
        xml = probe_definition(self._id, *looks)
        self.source.calls.call(
            f"defining a probe on {self.source.name}", lambda conn: conn.defineXML(xml), LOOK_S
        )
        self._sender = Channel(self.source.libvirt_uri, "probe-sender")
        self._ended.clear()
        threading.Thread(target=self._send, name=f"send {self.name}", daemon=True).start()
        if not self._ended.wait(PEER_S):
            raise self._unreachable(f"it got no answer within {PEER_S:g} s")
        if self._error is not None:
            raise self._unreachable(self._error.message)
        if not self.destination.has(self._id):
            raise Transient(
                "libvirt.unreachable",
                f"peer_uri {self.destination.peer_uri} leads {self.source.name} to another machine than"
                f" {self.destination.name}, where `virsh undefine {self.name}` is due; correct peer_uri",
            )

    def clean_up(self) -> None:
        """Remove the definition on both sides, waiting until the source's daemon lets go of it.

        :raises MigratorError: when something may be left.
        """
        self._ended.wait(GIVE_UP_S)
        if self._sender is not None:
            self._sender.close()
        failed: MigratorError | None = None
        for host in (self.source, self.destination):
            try:
                host.remove(self._id, LOOK_S)
            except MigratorError as error:
                failed = Transient(
                    error.code,
                    f"{self.name} may be left on {host.name}: {error.message}; there, run"
                    f" `virsh undefine {self.name}`",
                )
        if failed is not None:
            raise failed

    @property
    def waits(self) -> bool:
        """Whether the source's daemon is still trying."""
        return not self._ended.is_set()

    def _send(self) -> None:
        assert self._sender is not None

        def migrate(conn: libvirt.virConnect) -> None:
            domain = _find(conn, self._id)
            if domain is not None:
                domain.migrateToURI3(self.destination.peer_uri, {}, OFFLINE_FLAGS)

        try:
            self._sender.call("handing over a probe", migrate, GIVE_UP_S)
        except MigratorError as error:
            self._error = error
        finally:
            self._ended.set()

    def _unreachable(self, why: str) -> Transient:
        return Transient(
            "libvirt.unreachable",
            f"the libvirt of {self.source.name} cannot hand a guest to {self.destination.name} at"
            f" {self.destination.peer_uri}: {why}",
        )


def leftover_sentence(host: str, uri: str, names: Iterable[str]) -> str:
    """What to do about probes that an interrupted check left."""
    commands = "; ".join(f"virsh -c '{uri}' undefine {name}" for name in names)
    return f"an interrupted check left definitions on {host}; run: {commands}"


def _find(conn: libvirt.virConnect, instance_id: str) -> libvirt.virDomain | None:
    try:
        return conn.lookupByUUIDString(instance_id)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise

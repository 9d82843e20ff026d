"""Where everything of a lab is: directories, names, addresses, interfaces.  Changes nothing."""

import os
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from nested.errors import bad_input

CHECKOUT = Path(__file__).resolve().parents[2]
VENV_BIN = CHECKOUT / ".venv" / "bin"
CACHE = CHECKOUT / ".cache" / "lab"
KERNEL = CACHE / "vmlinuz"
INITRAMFS = CACHE / "initramfs.gz"

RUN = Path("/run")
NAMESPACES = RUN / "netns"
FIRST_HOST_ADDRESS = 11
MOST_HOSTS = 200
PLANES = ("control", "migration")
POOLS = ("local", "shared")


@dataclass(frozen=True)
class HostLayout:
    """One nested host; its name is also its network namespace and its host name."""

    lab: "LabLayout"
    number: int

    @property
    def name(self) -> str:
        """Return ``h1``, or ``NAME-h1`` in a named lab."""
        return f"{self.lab.prefix}h{self.number}"

    @property
    def uuid(self) -> str:
        """Return the identity libvirt shows its peers; equal ones are taken for the same machine."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.{self.lab.slot}.migrator-lab"))

    def address(self, plane: str = "control") -> str:
        """Return the host's address on a plane."""
        return f"{self.lab.subnet(plane)}.{FIRST_HOST_ADDRESS + self.number - 1}"

    @staticmethod
    def device(plane: str) -> str:
        """Return the interface's name inside the host."""
        return {"control": "control0", "migration": "migration0"}[plane]

    def port(self, plane: str) -> str:
        """Return the name of the interface's other end, in the bridge."""
        return f"{self.lab.bridge(plane)}{self.number}"

    def mac(self, plane: str) -> str:
        """Return a hardware address that is the same after every restart."""
        return f"02:6d:{PLANES.index(plane):02x}:{self.lab.slot:02x}:00:{self.number:02x}"

    @property
    def home(self) -> Path:
        """Return the directory with what is private to this host."""
        return self.lab.bulk / self.name

    @property
    def run(self) -> Path:
        """Return what this host sees as ``/run``."""
        return self.lab.state / self.name / "run"

    @property
    def local_pool(self) -> Path:
        """Return the private pool's directory as the machine sees it."""
        return self.home / "lib" / "images"

    @property
    def socket(self) -> Path:
        """Return libvirt's socket as the machine sees it."""
        return self.run / "libvirt" / "libvirt-sock"

    @property
    def libvirt_uri(self) -> str:
        """Return how a process of the machine reaches this host's libvirt; survives every cut plane."""
        return f"qemu+unix:///system?socket={self.socket}"

    @property
    def peer_uri(self) -> str:
        """Return how the other hosts' libvirts reach this one.

        They show what is in the directory of this very host; whom it lets in is the authority's word."""
        if self.lab.tls:
            return f"qemu+tls://{self.address()}/system?pkipath={self.certificates}"
        return f"qemu+tcp://{self.address()}/system"

    @property
    def certificates(self) -> Path:
        """Return the directory with its key and certificates; every host sees all of these."""
        return self.lab.certificates / self.name

    def console(self, guest: str) -> Path:
        """Return the file with what a guest printed while it ran here."""
        return self.home / "log" / "qemu" / f"{guest}-console.log"


@dataclass(frozen=True)
class LabLayout:
    """One lab.  ``slot`` tells labs on the same machine apart: subnets and interfaces carry it."""

    name: str
    slot: int = 0
    tls: bool = False

    @property
    def prefix(self) -> str:
        """Return what host names begin with."""
        return f"{self.name}-" if self.name else ""

    @property
    def state(self) -> Path:
        """Return the directory that is the lab; removed by ``down``."""
        return RUN / ("migrator-lab" + (f"-{self.name}" if self.name else ""))

    @property
    def bulk(self) -> Path:
        """Return where the big files are: a link out of /run where that is in memory."""
        return self.state / "bulk"

    @property
    def bulk_elsewhere(self) -> Path:
        """Return what ``bulk`` links to when /run does not support direct I/O."""
        return Path("/var/tmp") / self.state.name

    @property
    def logs(self) -> Path:
        """Return the directory with one log file per process."""
        return self.state / "log"

    @property
    def certificates(self) -> Path:
        """Return where the authority of a lab with TLS is."""
        return self.state / "pki"

    @property
    def configuration(self) -> Path:
        """Return the services' configuration file."""
        return self.state / "migrator.conf"

    @property
    def api_socket(self) -> Path:
        """Return the API's socket."""
        return self.state / "api.sock"

    @property
    def endpoint(self) -> str:
        """Return what MIGRATOR_ENDPOINT must be."""
        return f"unix://{self.api_socket}"

    @property
    def shared_pool(self) -> Path:
        """Return the directory behind every host's ``shared`` pool."""
        return self.bulk / "shared"

    def subnet(self, plane: str) -> str:
        """Return the first three octets of a plane's addresses."""
        return f"10.{ {'control': 77, 'migration': 78}[plane] }.{self.slot}"

    @property
    def gateway(self) -> str:
        """Return the machine's own address on the control plane."""
        return f"{self.subnet('control')}.1"

    def bridge(self, plane: str) -> str:
        """Return a plane's bridge; with a host's number behind it at most 11 characters."""
        return f"mlab{self.slot}{plane[0]}"

    def host(self, number: int) -> HostLayout:
        """Return host ``number``, counted from 1."""
        return HostLayout(self, number)


def lab_name() -> str:
    """Return the lab chosen by the environment; empty for the default one."""
    name = os.environ.get("MIGRATOR_LAB", "")
    if name and not re.fullmatch(r"[a-z][a-z0-9-]{0,15}", name):
        raise bad_input(
            "lab.name",
            f"MIGRATOR_LAB={name!r} must be 1 to 16 of a-z, 0-9 and '-', beginning with a letter.",
        )
    return name

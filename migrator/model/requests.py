"""What a guest needs of a host: as its domain says, and as its operator wishes."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from migrator.model.topology import DeviceKind


class CpuPolicy(enum.StrEnum):
    """Whether its vCPUs have host CPUs of their own."""

    SHARED = "shared"
    DEDICATED = "dedicated"
    MIXED = "mixed"


class ThreadPolicy(enum.StrEnum):
    """How dedicated vCPUs lie on the threads of a core."""

    PREFER = "prefer"
    """On siblings where there are some."""
    REQUIRE = "require"
    """On siblings: at most one vCPU is alone on its core, and the core has a thread free beside it."""
    ISOLATE = "isolate"
    """Each on a core of its own, whose other threads nobody gets."""


class EmulatorPolicy(enum.StrEnum):
    """Where QEMU's own threads run."""

    NONE = "none"
    """Where its vCPUs run."""
    SHARE = "share"
    """On the host's shared CPUs."""
    ISOLATE = "isolate"
    """On a dedicated CPU in the host cell of the guest's first cell."""


class PciNuma(enum.StrEnum):
    """How near a device must be to the host cells the guest lies on."""

    REQUIRED = "required"
    """In one of them."""
    SOCKET = "socket"
    """In a socket of one of them."""
    LEGACY = "legacy"
    """In one of them, or the host does not say where it is."""
    PREFERRED = "preferred"
    """In one of them if possible."""


class PciLive(enum.StrEnum):
    """What a live migration does with a device that cannot migrate."""

    REFUSE = "refuse"
    DETACH = "detach"
    """Unplugged before and plugged in again after; the guest copes, for example with a bond."""


@dataclass(frozen=True)
class PciMatch:
    """Which devices would do; None where anything does."""

    vendor: str | None = None
    product: str | None = None
    kind: DeviceKind | None = None
    """None: any but a physical function, which takes its virtual ones with it."""
    network: str | None = None


@dataclass(frozen=True)
class PciRequest:
    """Some devices of one sort."""

    id: str
    """Of one that is derived from a domain: the device's address on the host it is on."""
    match: tuple[PciMatch, ...]
    """Any of these. None at all while nobody has said what the device is: nothing would do."""
    count: int = 1
    numa: PciNuma = PciNuma.LEGACY
    live: PciLive = PciLive.REFUSE


@dataclass(frozen=True)
class GuestCell:
    """A NUMA cell of the guest that must lie within one cell of the host."""

    id: int
    vcpus: tuple[int, ...]
    memory_mib: int


@dataclass(frozen=True)
class ResourceRequest:
    """What must be found on a host, whole."""

    vcpus: int
    memory_mib: int
    dedicated: tuple[int, ...] = ()
    """vCPUs that get a host CPU each."""
    threads: ThreadPolicy = ThreadPolicy.PREFER
    emulator: EmulatorPolicy = EmulatorPolicy.NONE
    cells: tuple[GuestCell, ...] = ()
    """Each on a host cell of its own. Empty: its memory and vCPUs may lie anywhere, on one host cell if
    that is possible."""
    page_kib: int | None = None
    """Size of the huge pages behind its memory; None for ordinary memory."""
    pci: tuple[PciRequest, ...] = ()

    @property
    def cpu_policy(self) -> CpuPolicy:
        if not self.dedicated:
            return CpuPolicy.SHARED
        return CpuPolicy.DEDICATED if len(self.dedicated) == self.vcpus else CpuPolicy.MIXED


@dataclass(frozen=True)
class Wishes:
    """What an operator asks for an instance beside what its domain says."""

    affinity: tuple[str, ...] = ()
    """Groups whose members stay on one host."""
    anti_affinity: tuple[str, ...] = ()
    """Groups whose members stay apart."""
    tags: tuple[str, ...] = ()
    """Its host must have all of them."""
    forbidden_tags: tuple[str, ...] = ()
    zone: str | None = None
    threads: ThreadPolicy | None = None
    """None: siblings where there are some."""
    pci_numa: PciNuma | None = None
    """Of all its devices; None: in one of its cells, or where the host does not say."""
    pci_live: PciLive | None = None
    """Of all its devices; None: as its domain says."""
    scratch: tuple[str, ...] = ()
    """Disks, by target, whose content nobody needs once their guest is off."""


@dataclass(frozen=True)
class RequestSpec:
    """What an instance's domain says that a place for it is chosen by. A move's own (its mode, its
    target, hosts it has tried) is never written here."""

    resources: ResourceRequest
    arch: str = ""
    machine: str = ""
    virt_type: str = ""
    cpu_model: str = ""
    """By name or mode; the checks compare all of it."""
    firmware: str = ""
    """``efi`` or a loader's path; empty for the machine's own BIOS."""
    pools: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()

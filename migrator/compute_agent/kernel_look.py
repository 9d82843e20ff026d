"""What the kernel tells whoever runs on a host, beside its libvirt: read, never changed.

Only of the host itself: an agent that reaches its libvirt over a network looks at another machine.
"""

from __future__ import annotations

import array
import fcntl
import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

SIOCGIFADDR = 0x8915
SIOCETHTOOL = 0x8946
ETHTOOL_GSET = 1
NAME_LENGTH = 16
UNKNOWN_SPEEDS = (0, 0xFFFF, 0xFFFFFFFF)
MBIT_PER_MIB = 1024 * 1024 * 8 / 1e6
CAP_SYS_RESOURCE = 24
DAEMONS = ("libvirtd", "virtqemud")
QEMU_OPENS_DEVICE = 8_000_000
"""From here on QEMU asks for /dev/userfaultfd before it tries the system call."""


def is_local(libvirt_uri: str) -> bool:
    """The daemon is reached through a socket of this machine's."""
    uri = urlsplit(libvirt_uri)
    _, _, transport = uri.scheme.partition("+")
    return transport in ("", "unix") and not uri.netloc


def link_mib_s(address: str) -> int | None:
    """Of the device that has this address; None where it has no speed, or is another network's."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        device = _device_of(asked, address)
        mbit = None if device is None else _speed(asked, device)
    return None if mbit is None else int(mbit / MBIT_PER_MIB)


def why_no_page_faults(
    capabilities_xml: str, hypervisor_version: int, root: Path = Path("/")
) -> str:
    """A half sentence; empty unless it is certain that QEMU may not use userfaultfd."""
    user = _qemu_user(capabilities_xml)
    allowed = _text(root / "proc/sys/vm/unprivileged_userfaultfd")
    device = hypervisor_version >= QEMU_OPENS_DEVICE and (root / "dev/userfaultfd").exists()
    if user in (None, 0) or allowed != "0" or device:
        return ""
    return f"vm.unprivileged_userfaultfd is 0, and QEMU runs as user {user}"


def locks_memory(root: Path = Path("/")) -> bool | None:
    """Whether every libvirt daemon of this machine may raise limits; None where none is seen."""
    found = [
        int(line.split()[1], 16)
        for status in sorted((root / "proc").glob("[0-9]*/status"))
        if (text := _text(status)).startswith(tuple(f"Name:\t{name}\n" for name in DAEMONS))
        for line in text.splitlines()
        if line.startswith("CapEff:")
    ]
    return all(each >> CAP_SYS_RESOURCE & 1 for each in found) if found else None


def _qemu_user(capabilities_xml: str) -> int | None:
    """By libvirt's own word: the label it gives its QEMU processes."""
    for model in ElementTree.fromstring(capabilities_xml).iterfind("host/secmodel"):
        if model.findtext("model") == "dac":
            labels = [each.text or "" for each in model.iterfind("baselabel")]
            users = {label.partition(":")[0].lstrip("+") for label in labels}
            if len(users) == 1 and (user := users.pop()).isdecimal():
                return int(user)
    return None


def _device_of(asked: socket.socket, address: str) -> str | None:
    try:
        wanted: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return None
    if isinstance(wanted, IPv6Address):
        for line in _text(Path("/proc/net/if_inet6")).splitlines():
            number, *_, name = line.split()
            if int(number, 16) == int(wanted):
                return name
        return None
    for _, name in socket.if_nameindex():
        request = struct.pack(f"{NAME_LENGTH}s24x", name.encode())
        try:
            answer = fcntl.ioctl(asked, SIOCGIFADDR, request)
        except OSError:
            continue  # it has none
        if answer[20:24] == wanted.packed:
            return name
    return None


def _speed(asked: socket.socket, device: str) -> int | None:
    """Mbit/s. The reply is the kernel's struct ethtool_cmd: its two halves are at 12 and at 28."""
    command = array.array("B", struct.pack("I40x", ETHTOOL_GSET))
    place, _ = command.buffer_info()
    request = struct.pack(f"{NAME_LENGTH}sP16x", device.encode(), place)
    try:
        fcntl.ioctl(asked, SIOCETHTOOL, request)
    except OSError:
        return None
    (low,) = struct.unpack_from("H", command, 12)
    (high,) = struct.unpack_from("H", command, 28)
    speed = low | high << 16
    return None if speed in UNKNOWN_SPEEDS else int(speed)


def _text(path: Path) -> str:
    """Empty where it cannot be read: processes come and go."""
    try:
        return path.read_text().strip("\n")
    except OSError:
        return ""

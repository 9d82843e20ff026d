"""What libvirt found out about this machine's QEMU, found out once instead of by every nested host anew.

Asking takes libvirt about four seconds, which would fall into the first guest or the first incoming
migration of a host.  A copy that no longer fits (other QEMU, other libvirt) is noticed and replaced by
libvirt itself.
"""

import contextlib
import shutil
from pathlib import Path

import libvirt

from nested.host import connect
from nested.layout import CACHE, HostLayout

KEPT = CACHE / "qemu-capabilities"


def _directory(host: HostLayout) -> Path:
    return host.home / "cache" / "qemu" / "capabilities"


def share(hosts: list[HostLayout]) -> None:
    """Give the hosts that have none the kept answers, once one of them has seen that they fit."""
    fresh = [host for host in hosts if not any(_directory(host).glob("*.xml"))]
    if not fresh:
        return
    _copy(KEPT, _directory(fresh[0]))
    ask(fresh[0])
    keep(fresh[0])
    for host in fresh[1:]:
        _copy(KEPT, _directory(host))


def ask(host: HostLayout) -> str:
    """Return what the host's libvirt says about emulated q35 guests."""
    with contextlib.closing(connect(host)) as connection:
        try:
            xml: str = connection.getDomainCapabilities(None, "x86_64", "q35", "qemu", 0)
        except libvirt.libvirtError:
            return ""
    return xml


def keep(host: HostLayout) -> None:
    """Keep what a host found out where it differs from what was kept."""
    for path in _directory(host).glob("*.xml"):
        if not (KEPT / path.name).exists() or path.read_bytes() != (KEPT / path.name).read_bytes():
            _copy(_directory(host), KEPT)


def _copy(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in source.glob("*.xml"):
        fresh = target / f"{path.name}.new"
        shutil.copyfile(path, fresh)
        fresh.chmod(0o600)
        fresh.rename(target / path.name)

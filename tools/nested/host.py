"""One nested host: its namespaces, and the libvirt daemons inside them."""

import contextlib
import itertools
import os
import shlex
import signal
from pathlib import Path

import libvirt

from nested import certificates, emulator, network
from nested.errors import LabError
from nested.layout import NAMESPACES, HostLayout, LabLayout
from nested.processes import (
    Process,
    Registry,
    command_line,
    end,
    identify,
    in_network_namespace,
    wait_until,
)

LIBVIRTD_CONF = """\
host_uuid = "{uuid}"
listen_tls = 0
listen_tcp = 1
listen_addr = "{address}"
auth_tcp = "none"
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
log_level = 3
log_outputs = "3:file:{log}"
"""
QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 1
remember_owner = 0
security_driver = "none"
cgroup_controllers = [ ]
namespaces = [ ]
"""
LIBVIRTD_TLS_CONF = """\
listen_tls = 1
listen_tcp = 0
auth_tls = "none"
ca_file = "{pki}/ca-cert.pem"
cert_file = "{pki}/server-cert.pem"
key_file = "{pki}/server-key.pem"
"""
QEMU_TLS_CONF = """\
migrate_tls_x509_cert_dir = "{pki}"
migrate_tls_x509_verify = 1
migrate_tls_force = 1
"""
VIRTLOGD_CONF = """\
max_size = 268435456
max_backups = 1
log_outputs = "3:file:{log}"
"""
# Bind mounts change only the new mount namespace.  /run is replaced as a whole, so that the machine's
# daemons (D-Bus, its libvirt) are out of sight; the lab's own directory is put back at its usual place.
ANCHOR = """\
set -e
hostname {name}
mount --bind {state} {run}/{state_name}
mount --bind {shared} {home}/lib/shared
mount --bind {home}/etc /etc/libvirt
mount --bind {home}/cache /var/cache/libvirt
mount --bind {home}/log /var/log/libvirt
mount --rbind {home}/lib /var/lib/libvirt
mount --bind {home}/hosts /etc/hosts
{emulator}
mount --rbind {run} /run
echo ready > {home}/ready
exec sleep infinity
"""


def prepare_bulk(layout: LabLayout) -> None:
    """Choose where the big files go: beside the rest, or elsewhere where /run is in memory."""
    if layout.bulk.exists():
        return
    if layout.bulk.is_symlink() or _is_in_memory(layout.state):
        layout.bulk_elsewhere.mkdir(mode=0o755, exist_ok=True)
        layout.bulk.unlink(missing_ok=True)
        layout.bulk.symlink_to(layout.bulk_elsewhere)
    layout.bulk.mkdir(mode=0o755, exist_ok=True)


def _is_in_memory(directory: Path) -> bool:
    while not os.path.ismount(directory):
        directory = directory.parent
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return any(mount[1] == str(directory) and mount[2] in ("tmpfs", "ramfs") for mount in mounts)


def ensure(host: HostLayout, everyone: list[HostLayout]) -> list[str]:
    """Start of this host what does not run; return the names of what was started."""
    registry, started = Registry(host.lab), []
    _write_files(host, everyone)
    anchor = registry.get(f"anchor-{host.name}")
    if anchor is None:
        _end_all_inside(host)
        network.ensure_cables(host)
        anchor = _start_anchor(host, registry)
        started.append(f"anchor-{host.name}")
    else:
        network.ensure_cables(host)
    for daemon, options in (("virtlogd", ()), ("libvirtd", ("--listen",))):
        process = registry.get(f"{daemon}-{host.name}")
        if process is None:
            registry.spawn(
                f"{daemon}-{host.name}",
                [
                    *enter(anchor),
                    daemon,
                    *options,
                    "--pid-file",
                    f"/run/{daemon}.pid",
                    "--config",
                    f"/etc/libvirt/{daemon}.conf",
                ],
            )
            started.append(f"{daemon}-{host.name}")
        elif process.is_stopped():
            raise LabError(
                "host.stopped",
                f"{daemon} of {host.name} is stopped; 'tools/lab cont {daemon} {host.name}' "
                "lets it go on.",
            )
    _await_libvirt(host, registry)
    return started


def enter(anchor: Process) -> list[str]:
    """Return the command prefix that runs something inside a host."""
    return ["nsenter", "--target", str(anchor.pid), "--net", "--mount", "--uts", "--"]


def anchor_of(host: HostLayout) -> Process:
    """Return the process that holds the host's namespaces, or refuse."""
    anchor = Registry(host.lab).get(f"anchor-{host.name}")
    if anchor is None:
        raise LabError(
            "host.down", f"Host {host.name} is not running; 'tools/lab up' starts it again."
        )
    return anchor


def connect(host: HostLayout) -> libvirt.virConnect:
    """Open the host's libvirt from the machine."""
    silence_libvirt()
    try:
        return libvirt.open(host.libvirt_uri)
    except libvirt.libvirtError as error:
        raise LabError(
            "host.libvirt", f"The libvirt of {host.name} does not answer: {error}"
        ) from error


def silence_libvirt() -> None:
    """Keep libvirt from printing errors that are raised anyway."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)


def qemu_processes(host: HostLayout) -> dict[str, int]:
    """Return guest name to pid of every QEMU on a host; asks no daemon, for it may be frozen."""
    found: dict[str, int] = {}
    for pid in in_network_namespace(NAMESPACES / host.name):
        words = command_line(pid)
        if not words or not Path(words[0]).name.startswith("qemu-system"):
            continue
        for option, value in itertools.pairwise(words):
            if option == "-name" and value.startswith("guest="):
                found[value.removeprefix("guest=").split(",")[0]] = pid
    return found


def remove(host: HostLayout) -> None:
    """End everything inside a host and take its namespaces away."""
    _end_all_inside(host)
    network.remove_cables(host)


def _end_all_inside(host: HostLayout) -> None:
    """End whatever runs in the host's network namespace or was recorded for it, guests included."""
    registry = Registry(host.lab)
    inside = [identify(pid) for pid in in_network_namespace(NAMESPACES / host.name)]
    recorded = [registry.get(name) for name in registry.names() if name.endswith(f"-{host.name}")]
    end([process for process in [*inside, *recorded] if process is not None], signal.SIGKILL)


def _write_files(host: HostLayout, everyone: list[HostLayout]) -> None:
    """Write what the host sees as its own; the pieces of a crashed earlier start are kept."""
    host.lab.shared_pool.mkdir(parents=True, exist_ok=True)
    for part in ("etc/qemu", "lib/images", "lib/qemu", "lib/shared", "cache", "log/qemu"):
        (host.home / part).mkdir(parents=True, exist_ok=True)
    (host.run / host.lab.state.name).mkdir(parents=True, exist_ok=True)
    (host.run / "lock").mkdir(exist_ok=True)
    (host.run / "usr").mkdir(exist_ok=True)
    host.lab.logs.mkdir(exist_ok=True)
    names = "".join(f"{peer.address()} {peer.name}\n" for peer in everyone)
    (host.home / "hosts").touch()
    (host.home / "hosts").write_text(f"127.0.0.1 localhost\n{host.lab.gateway} machine\n{names}")
    libvirtd = LIBVIRTD_CONF.format(
        uuid=host.uuid,
        address=host.address(),
        log=host.lab.logs / f"libvirtd-{host.name}.log",
    )
    qemu = QEMU_CONF
    if host.lab.tls:
        certificates.ensure(host)
        plain = ("listen_tls = 0\n", "listen_tcp = 1\n", 'auth_tcp = "none"\n')
        for line in plain:
            libvirtd = libvirtd.replace(line, "")
        libvirtd += LIBVIRTD_TLS_CONF.format(pki=host.certificates)
        qemu += QEMU_TLS_CONF.format(pki=host.certificates)
    for name, text in (
        ("libvirtd.conf", libvirtd),
        ("virtlogd.conf", VIRTLOGD_CONF.format(log=host.lab.logs / f"virtlogd-{host.name}.log")),
        ("qemu.conf", qemu),
    ):
        (host.home / "etc" / name).write_text(text)


def _start_anchor(host: HostLayout, registry: Registry) -> Process:
    ready = host.home / "ready"
    ready.unlink(missing_ok=True)
    script = ANCHOR.format(
        name=host.name,
        state=shlex.quote(str(host.lab.state)),
        state_name=host.lab.state.name,
        run=shlex.quote(str(host.run)),
        home=shlex.quote(str(host.home)),
        shared=shlex.quote(str(host.lab.shared_pool)),
        emulator=_wrap_emulator(host) if emulator.needs_wrapper() else "",
    )
    for stale in ("libvirtd.pid", "virtlogd.pid"):
        (host.run / stale).unlink(missing_ok=True)
    anchor = registry.spawn(
        f"anchor-{host.name}",
        [
            "ip",
            "netns",
            "exec",
            host.name,
            "unshare",
            "--mount",
            "--uts",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
        ],
    )
    if not wait_until(lambda: ready.exists() or not anchor.is_alive(), 15) or not anchor.is_alive():
        raise LabError(
            "host.start",
            f"Host {host.name} did not start: {registry.log_tail(f'anchor-{host.name}', 4)}",
        )
    return anchor


def _wrap_emulator(host: HostLayout) -> str:
    """Return the mounts that put the wrapper in QEMU's place and QEMU where the wrapper looks."""
    real, wrapper = shlex.quote(f"{host.run}/usr"), shlex.quote(str(emulator.WRAPPER))
    return f"mount --bind /usr {real}\nmount --bind {wrapper} {emulator.PATH}"


def _await_libvirt(host: HostLayout, registry: Registry) -> None:
    """Wait until the daemon answers; opening alone succeeds before the drivers are there."""
    silence_libvirt()
    name = f"libvirtd-{host.name}"

    def answers() -> bool:
        with contextlib.suppress(libvirt.libvirtError):
            connection = libvirt.open(host.libvirt_uri)
            try:
                return (
                    bool(connection.getHostname()) and connection.listAllStoragePools() is not None
                )
            finally:
                connection.close()
        return registry.get(name) is None

    if not wait_until(answers, 40, 0.1) or registry.get(name) is None:
        raise LabError(
            "host.libvirt", f"libvirtd of {host.name} does not answer:\n{registry.log_tail(name)}"
        )

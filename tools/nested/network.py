"""Two planes between the hosts: a bridge each, and a cable into every host's namespace."""

import os
from pathlib import Path

from nested.errors import bad_input
from nested.layout import NAMESPACES, PLANES, HostLayout, LabLayout
from nested.processes import run

LINKS = Path("/sys/class/net")
FILTERED_BRIDGES = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


def refuse_strangers(layout: LabLayout, hosts: list[HostLayout]) -> None:
    """Refuse to build over namespaces or bridges that somebody else made."""
    refuse_strangers_of_hosts(hosts)
    for plane in PLANES:
        if (LINKS / layout.bridge(plane)).exists():
            raise bad_input(
                "lab.bridge_taken",
                f"A bridge {layout.bridge(plane)} exists that this lab did not make; "
                f"remove it with 'ip link del {layout.bridge(plane)}'.",
            )


def refuse_strangers_of_hosts(hosts: list[HostLayout]) -> None:
    """Refuse to build over namespaces that somebody else made."""
    for host in hosts:
        if (NAMESPACES / host.name).exists():
            raise bad_input(
                "lab.namespace_taken",
                f"A network namespace {host.name} exists that this lab did not make; "
                f"remove it ('ip netns del {host.name}') or choose another MIGRATOR_LAB.",
            )


def ensure_bridges(layout: LabLayout) -> None:
    """Make both planes; the machine itself has an address on the control plane only."""
    for plane in PLANES:
        bridge = layout.bridge(plane)
        if not (LINKS / bridge).exists():
            run(
                "ip",
                "link",
                "add",
                bridge,
                "type",
                "bridge",
                "stp_state",
                "0",
                "forward_delay",
                "0",
            )
        if plane == "control":
            run("ip", "address", "replace", f"{layout.gateway}/24", "dev", bridge)
        run("ip", "link", "set", bridge, "up")
        for rule in _pass_rules(bridge):
            if not _has_rule(rule):
                run("iptables", "-w", "-I", *rule)


def _pass_rules(bridge: str) -> list[tuple[str, ...]]:
    """Return what keeps the machine's firewall (Docker's, say) from dropping frames between hosts."""
    if not FILTERED_BRIDGES.exists() or FILTERED_BRIDGES.read_text().strip() == "0":
        return []
    return [("FORWARD", "-i", bridge, "-o", bridge, "-j", "ACCEPT")]


def _has_rule(rule: tuple[str, ...]) -> bool:
    return rule in _forward_rules()


def _forward_rules() -> set[tuple[str, ...]]:
    return {tuple(line.split()[1:]) for line in run("iptables", "-w", "-S", "FORWARD").splitlines()}


def ensure_cables(host: HostLayout) -> None:
    """Make the host's namespace and connect it to both planes."""
    if not (NAMESPACES / host.name).exists():
        run("ip", "netns", "add", host.name)
    run("ip", "-n", host.name, "link", "set", "lo", "up")
    inside = run("ip", "-n", host.name, "-o", "link")
    for plane in PLANES:
        device, port = host.device(plane), host.port(plane)
        if f" {device}@" not in inside or not (LINKS / port).exists():
            run("ip", "link", "del", port, check=False)
            run(
                "ip",
                "link",
                "add",
                port,
                "type",
                "veth",
                "peer",
                "name",
                device,
                "address",
                host.mac(plane),
                "netns",
                host.name,
            )
        run("ip", "link", "set", port, "master", host.lab.bridge(plane), "up")
        run("ip", "-n", host.name, "address", "replace", f"{host.address(plane)}/24", "dev", device)
        run("ip", "-n", host.name, "link", "set", device, "up")


def remove_cables(host: HostLayout) -> None:
    """Remove the namespace and the cables; what is gone already is no error."""
    for plane in PLANES:
        if (LINKS / host.port(plane)).exists():
            run("ip", "link", "del", host.port(plane), check=False)
    if (NAMESPACES / host.name).exists():
        run("ip", "netns", "del", host.name, check=False)


def remove_bridges(layout: LabLayout) -> None:
    """Remove both planes with the firewall rules they needed."""
    for plane in PLANES:
        bridge = layout.bridge(plane)
        for rule in _pass_rules(bridge):
            if _has_rule(rule):
                run("iptables", "-w", "-D", *rule, check=False)
        if (LINKS / bridge).exists():
            run("ip", "link", "del", bridge, check=False)


def tidy_machine() -> None:
    """Take away the empty directories that ip and mount made for us; they make them again."""
    if NAMESPACES.is_dir() and not any(NAMESPACES.iterdir()):
        if os.path.ismount(NAMESPACES):
            run("umount", NAMESPACES, check=False)
        run("rmdir", NAMESPACES, check=False)
    if Path("/run/mount").is_dir():
        run("rmdir", "--ignore-fail-on-non-empty", "/run/mount", check=False)


def lab_links(layout: LabLayout) -> list[str]:
    """Return the interfaces on the machine that belong to this lab."""
    bridges = tuple(layout.bridge(plane) for plane in PLANES)
    return sorted(
        path.name
        for path in LINKS.iterdir()
        if any(
            path.name == bridge
            or (path.name.startswith(bridge) and path.name[len(bridge) :].isdigit())
            for bridge in bridges
        )
    )

"""``migrator-status check`` on real libvirt daemons: finds what keeps guests from moving."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from migrator.compute_agent.libvirt_hypervisor import LibvirtHypervisor

TOP = Path(__file__).parents[2]
LAB = "status"

pytestmark = pytest.mark.nested


@dataclass(frozen=True)
class Lab:
    """Two hosts without services."""

    hosts: Sequence[dict[str, Any]]

    def do(self, *words: str) -> str:
        """One verb of tools/lab."""
        return run(TOP / "tools/lab", *words)

    def definitions(self) -> Sequence[str]:
        """Names of all domains on both hosts."""
        return [
            name
            for host in self.hosts
            for name in run("virsh", "-c", host["libvirt_uri"], "list", "--all", "--name").split()
        ]


def run(*command: str | Path) -> str:
    environment = {**os.environ, "MIGRATOR_LAB": LAB}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    if os.geteuid() != 0 or shutil.which("libvirtd") is None:
        pytest.skip("needs root and libvirt: tools/setup lab")
    run(TOP / "tools/lab", "up", "--no-services", "--hosts", "2")
    yield Lab(json.loads(run(TOP / "tools/lab", "hosts", "-f", "json")))
    run(TOP / "tools/lab", "down")


@pytest.fixture
def configuration(lab: Lab, tmp_path: Path) -> Path:
    names = ", ".join(host["name"] for host in lab.hosts)
    lines = ["[DEFAULT]", "migration_encryption = off", "[database]"]
    lines += [f"connection = sqlite:///{tmp_path}/m.sqlite", "[fleet]", f"hosts = {names}"]
    for host in lab.hosts:
        lines += [f"[host:{host['name']}]", f"libvirt_uri = {host['libvirt_uri']}"]
        lines += [f"peer_uri = {host['peer_uri']}", f"control_address = {host['address']}"]
    file = tmp_path / "migrator.conf"
    file.write_text("\n".join(lines) + "\n")
    return file


def start_check(file: Path) -> subprocess.Popen[str]:
    program = Path(sys.executable).with_name("migrator-status")
    return subprocess.Popen(
        [program, "--config-file", file, "check"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_hosts_that_reach_each_other_pass_and_keep_no_trace(lab: Lab, configuration: Path) -> None:
    check = start_check(configuration)
    output, _ = check.communicate(timeout=120)
    first, second = (host["name"] for host in lab.hosts)
    assert check.returncode == 0, output
    assert f"ok       {first} -> {second}" in output
    assert f"ok       {second} -> {first}" in output
    assert lab.definitions() == []


def test_hosts_that_do_not_reach_each_other_are_found_and_keep_no_trace(
    lab: Lab, configuration: Path
) -> None:
    cut = lab.hosts[1]["name"]
    lab.do("cut", cut, "--plane", "control")
    check = start_check(configuration)
    assert check.stdout is not None
    found = []
    try:
        for line in check.stdout:
            found += [line] if line.startswith("failed") else []
            if len(found) == 2:
                break
    finally:
        # The daemons' attempts end sooner on a link that is back.
        lab.do("heal", cut)
    check.communicate(timeout=240)
    assert check.returncode == 2
    assert len(found) == 2
    assert all("libvirt.unreachable" in line and " -> " in line for line in found)
    assert lab.definitions() == []


def test_an_agent_takes_a_probe_for_nobody_s_guest(lab: Lab, tmp_path: Path) -> None:
    uri = lab.hosts[0]["libvirt_uri"]
    definition = tmp_path / "probe.xml"
    definition.write_text(
        "<domain type='qemu'><name>migrator-probe-0</name><memory unit='MiB'>1</memory>"
        "<os><type>hvm</type></os></domain>"
    )
    hypervisor = LibvirtHypervisor(uri)
    run("virsh", "-c", uri, "define", definition)
    try:
        assert list(hypervisor.list_domains()) == []
    finally:
        run("virsh", "-c", uri, "undefine", "migrator-probe-0")
        hypervisor.close()


def test_a_host_whose_libvirt_is_dead_is_found(lab: Lab, configuration: Path) -> None:
    dead = lab.hosts[1]["name"]
    lab.do("kill", "libvirtd", dead)
    try:
        check = start_check(configuration)
        output, _ = check.communicate(timeout=120)
    finally:
        lab.do("up", "--no-services", "--hosts", "2")
    assert check.returncode == 2
    assert f"failed   libvirt {dead}: libvirt.unreachable" in output

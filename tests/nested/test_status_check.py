"""``migrator-status check`` on real libvirt daemons: finds what keeps guests from moving."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.nested.lab import BIN, Lab
from tests.nested.verify import verify

pytestmark = pytest.mark.nested


def start_check(lab: Lab) -> subprocess.Popen[str]:
    """With the very configuration the lab's services run with."""
    file = lab.endpoint.removeprefix("unix://").replace("api.sock", "migrator.conf")
    return subprocess.Popen(
        [BIN / "migrator-status", "--config-file", file, "check"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )


def test_hosts_that_reach_each_other_pass_and_keep_no_trace(lab: Lab, roamer: str) -> None:
    before = lab.definitions()
    check = start_check(lab)
    output, _ = check.communicate(timeout=120)
    first, second = (host.name for host in lab.hosts)
    assert check.returncode == 0, output
    assert f"ok       {first} -> {second}" in output
    assert f"ok       {second} -> {first}" in output
    assert lab.definitions() == before
    verify(lab)


def test_hosts_that_do_not_reach_each_other_are_found_and_keep_no_trace(
    lab: Lab, roamer: str
) -> None:
    before = lab.definitions()
    cut = lab.hosts[1].name
    lab.tool("cut", cut, "--plane", "control")
    check = start_check(lab)
    assert check.stdout is not None
    found = []
    try:
        for line in check.stdout:
            found += [line] if line.startswith("failed") else []
            if len(found) == 2:
                break
    finally:
        # The daemons' attempts end sooner on a link that is back.
        lab.tool("heal", cut)
    check.communicate(timeout=240)
    assert check.returncode == 2
    assert len(found) == 2
    assert all("libvirt.unreachable" in line and " -> " in line for line in found)
    assert lab.definitions() == before
    verify(lab)


def test_a_host_whose_libvirt_is_dead_is_found(lab: Lab, roamer: str) -> None:
    dead = lab.other(lab.home_of(roamer)).name
    lab.tool("kill", "libvirtd", dead)
    try:
        output, _ = (check := start_check(lab)).communicate(timeout=120)
    finally:
        lab.up()
    assert check.returncode == 2
    assert f"failed   libvirt {dead}: libvirt.unreachable" in output
    verify(lab)

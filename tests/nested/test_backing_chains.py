"""Guests keep what their disks stand on, wherever they go; the base travels once."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nested.lab import Host, Lab, Moving, await_
from tests.nested.verify import verify

pytestmark = [pytest.mark.nested, pytest.mark.usefixtures("discarding")]

MIB = 1024 * 1024
GUEST, TWIN = "layered", "layered-vdtwin"
"""The second's volumes are named like the first's, whose pools are looked through."""
SMALL = ("--memory", "128", "--dirty", "8", "--dirty-rate", "2", "--disk", "local:64:qcow2")
BASE, TOP, TWIN_TOP = f"{GUEST}-vda", f"{GUEST}-vda.top", f"{TWIN}-vda"
TWIN_XML = f"""<domain type='qemu'><name>{TWIN}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os>
<cpu mode='custom' match='exact'><model>qemu64</model></cpu>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='volume' device='disk'><driver name='qemu' type='qcow2'/>
<source pool='local' volume='{TWIN_TOP}'/><target dev='vda' bus='virtio'/></disk>
<controller type='usb' model='none'/><memballoon model='none'/></devices></domain>"""


@pytest.fixture(scope="module")
def discarding(standalone: Lab) -> Iterator[None]:
    yield
    standalone.discard(GUEST)
    for host in standalone.hosts:
        for name in (BASE, TOP, TWIN_TOP):
            volume(host, name).unlink(missing_ok=True)


def volume(host: Host, name: str) -> Path:
    """Its file, as the machine sees it."""
    return Path(host.pools["local"]) / name


def image(top: Path, base: Path) -> str:
    """A chain that needs no header to be believed, for QEMU's tools."""
    return "json:" + json.dumps(
        {
            "driver": "qcow2",
            "file": {"driver": "file", "filename": str(top)},
            "backing": {
                "driver": "qcow2",
                "file": {"driver": "file", "filename": str(base)},
                "backing": None,
            },
        }
    )


def same(one: str, other: str) -> None:
    """What a guest would read."""
    compared = subprocess.run(
        ["qemu-img", "compare", "-U", one, other], capture_output=True, text=True, check=False
    )
    assert compared.returncode == 0, compared.stdout + compared.stderr


def header_of(host: Host, name: str) -> str:
    """What QEMU's own tool reads there."""
    return subprocess.run(
        ["qemu-img", "info", "-U", "-f", "qcow2", "--output=json", volume(host, name)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def shown_chain(lab: Lab, guest: str) -> list[str]:
    (disk,) = lab.migrator("instance", "show", guest, "-f", "json").json["disks"]
    chain: list[str] = disk["chain"]
    return chain


def test_an_overlay_moves_live_and_cold_on_a_base_that_travels_once(
    lab: Lab, tmp_path: Path
) -> None:
    source, destination = lab.hosts
    lab.boot(GUEST, source, *SMALL)
    directory = lab.virsh(source, "pool-dumpxml", "local").partition("<path>")[2].partition("<")[0]
    lab.virsh(
        source,
        *("snapshot-create-as", GUEST, "--disk-only", "--no-metadata"),
        *("--diskspec", f"vda,file={directory}/{TOP}"),
    )
    lab.virsh(source, "pool-refresh", "local")
    base, overlay = volume(source, BASE), volume(source, TOP)
    kept = volume(source, f"{TOP}.kept")
    lab.virsh(source, "suspend", GUEST)
    lab.guests[GUEST] = "paused"
    os.link(overlay, kept)
    try:
        view = lab.move(GUEST, destination)
        assert "brought local/" in Moving(lab, view["id"]).story()
        same(image(kept, base), image(volume(destination, TOP), volume(destination, BASE)))
    finally:
        kept.unlink()
        lab.virsh(lab.home_of(GUEST), "resume", GUEST)
        lab.guests[GUEST] = "running"
    assert base.exists(), "a base image may be others' too"
    assert not overlay.exists()
    told = json.loads(header_of(destination, TOP))
    assert told["backing-filename"] == f"{directory}/{BASE}"
    assert told["backing-filename-format"] == "qcow2"
    assert volume(destination, TOP).stat().st_blocks * 512 < 32 * MIB, "only what was written"
    assert shown_chain(lab, GUEST) == [f"local/{BASE} (qcow2)"]
    arrived = volume(destination, BASE).stat()

    twin(lab, source, tmp_path)
    view = lab.migrate(TWIN, destination).until_ended()
    assert view["state"] == "completed", Moving(lab, view["id"]).story()
    assert "holds the same" in Moving(lab, view["id"]).story()
    assert volume(destination, BASE).stat().st_mtime_ns == arrived.st_mtime_ns
    assert json.loads(header_of(destination, TWIN_TOP))["backing-filename"] == f"{directory}/{BASE}"
    lab.virsh(destination, "destroy", TWIN)
    await_(lambda: status(lab, TWIN) == "shutoff", "the service knows that it is off", 30)
    done = lab.migrator("instance", "set", TWIN, "--scratch", "vda")
    assert done.status == 0, done.err
    view = lab.migrate(TWIN, source, "--kind", "cold").until_ended()
    assert view["state"] == "completed", Moving(lab, view["id"]).story()
    anew = json.loads(header_of(source, TWIN_TOP))
    assert "backing-filename" not in anew
    assert (anew["virtual-size"], anew["actual-size"] < MIB) == (64 * MIB, True)
    assert not volume(destination, TWIN_TOP).exists()
    lab.virsh(source, "undefine", TWIN)
    lab.await_gone(TWIN)
    volume(source, TWIN_TOP).unlink()
    verify(lab)

    kept = volume(destination, f"{TOP}.kept")
    os.link(volume(destination, TOP), kept)
    lab.virsh(destination, "destroy", GUEST)
    await_(lambda: status(lab, GUEST) == "shutoff", "the service knows that it is off", 30)
    try:
        view = lab.migrate(GUEST, source, "--kind", "cold").until_ended()
        assert view["state"] == "completed", Moving(lab, view["id"]).story()
        same(image(kept, volume(destination, BASE)), image(overlay, base))
    finally:
        kept.unlink()
    assert not volume(destination, TOP).exists()
    assert json.loads(header_of(source, TOP))["backing-filename"] == f"{directory}/{BASE}"
    assert shown_chain(lab, GUEST) == [f"local/{BASE} (qcow2)"]
    assert GUEST not in lab.names_on(destination)
    assert lab.verify().status == 0


def status(lab: Lab, guest: str) -> str:
    (shown,) = [each for each in lab.api("v1", "instances")["instances"] if each["name"] == guest]
    return str(shown["status"])


def twin(lab: Lab, host: Host, work: Path) -> None:
    """A guest without a system, whose disk stands on the same base."""
    lab.virsh(
        host,
        *("vol-create-as", "local", TWIN_TOP, f"{64 * MIB}", "--format", "qcow2"),
        *("--backing-vol", BASE, "--backing-vol-format", "qcow2"),
    )
    file = work / "twin.xml"
    file.write_text(TWIN_XML)
    lab.virsh(host, "define", str(file))
    lab.virsh(host, "start", TWIN)
    await_(
        lambda: TWIN in [each["name"] for each in lab.api("v1", "instances")["instances"]],
        f"the service knows {TWIN}",
        30,
    )

"""Guests move while they are off, or are stopped for it, and everything of them arrives."""

from __future__ import annotations

import hashlib
import os
import struct
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.nested.lab import Document, Host, Lab, Moving, await_
from tests.nested.openings import Openings
from tests.nested.test_copied_disks import SMALL_POOL, small_pool

pytestmark = [pytest.mark.nested, pytest.mark.usefixtures("discarding")]

GUEST = "chilly"
DISKS = ("--disk", "local:48:raw", "--disk", "local:48:qcow2", "--disk", "shared:16:raw")
SMALL = ("--memory", "128", "--dirty", "8", "--dirty-rate", "2", *DISKS)
COPIED = (f"{GUEST}-vda", f"{GUEST}-vdb")
SLOW = ("--bandwidth", "1")
AGAIN_S = 5.0
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def discarding(standalone: Lab) -> Iterator[None]:
    yield
    if GUEST in standalone.guests:
        standalone.discard(GUEST)


@pytest.fixture
def guest(lab: Lab) -> str:
    """With two local disks and a shared one; wherever and however the last test left it."""
    if GUEST not in lab.guests:
        lab.boot(GUEST, lab.hosts[0], *SMALL)
    return GUEST


def home(lab: Lab, guest: str) -> Host:
    """The only host that knows it, running or not."""
    (host,) = [host for host in lab.hosts if guest in lab.names_on(host)]
    return host


def off(lab: Lab, guest: str) -> Host:
    """Shut it down as its owner would; where it is."""
    host = home(lab, guest)
    asked_at = -AGAIN_S

    def is_off() -> bool:
        nonlocal asked_at
        if lab.state_on(host, guest) == "shut off":
            return True
        if time.monotonic() - asked_at > AGAIN_S:
            # One that is just coming up does not hear it.
            lab.virsh(host, "shutdown", guest, check=False)
            asked_at = time.monotonic()
        return False

    await_(is_off, f"{guest} shuts down", 60)
    settled(lab, guest, host, "shut off")
    return host


def on(lab: Lab, guest: str) -> Host:
    """Started by its owner; where it is."""
    host = home(lab, guest)
    if lab.state_on(host, guest) != "running":
        before = boots(lab, guest)
        lab.virsh(host, "start", guest)
        comes_up(lab, guest, before)
    settled(lab, guest, host, "running")
    return host


def boots(lab: Lab, guest: str) -> int:
    """How often it has come up."""
    return sum(beat["n"] == "1" for beat in lab.beats(guest))


def comes_up(lab: Lab, guest: str, before: int) -> None:
    """It has come up anew since, and finds its disks as it left them. What it says before it goes down
    does not count."""

    def so() -> bool:
        looked = lab.beats(guest)[-1]["adopted"] == str(len(DISKS) // 2)
        return looked and boots(lab, guest) > before

    await_(so, f"{guest} comes up and reads its disks", 120, lambda: f"{lab.beats(guest)[-3:]}")
    last = lab.beats(guest)[-1]
    assert (last["mem"], last["disk"]) == ("ok", "ok"), lab.console(guest)


def beating(lab: Lab, guest: str, before: int) -> None:
    """It goes on, and finds its memory and its disks as it left them."""
    await_(lambda: len(lab.beats(guest)) > before + 1, f"{guest} beats", 90)
    last = lab.beats(guest)[-1]
    assert (last["mem"], last["disk"]) == ("ok", "ok"), lab.console(guest)


def settled(lab: Lab, guest: str, host: Host, state: str) -> None:
    """One host knows it, unmarked; the service says the same; nothing else is left anywhere."""
    status = {"shut off": "shutoff"}.get(state, state)

    def so() -> bool:
        shown = next(
            each for each in lab.api("v1", "instances")["instances"] if each["name"] == guest
        )
        claims = [each for each in lab.api("v1", "claims")["claims"] if each["instance"] == guest]
        return (
            (shown["host"], shown["status"]) == (host.name, status)
            and [each["host"] for each in claims] == [host.name] * (state == "running")
            and lab.state_on(host, guest) == state
        )

    await_(so, f"{guest} is {state} on {host.name} and the service knows", 60)
    other = lab.other(host)
    assert guest not in lab.names_on(other)
    assert "xmlns/attempt" not in lab.virsh(host, "dumpxml", "--inactive", guest)
    volumes = {name: set(_volumes(each)) for name, each in (("here", host), ("there", other))}
    assert volumes == {"here": set(COPIED), "there": set()}


def _volumes(host: Host) -> Iterator[str]:
    for path in Path(host.pools["local"]).iterdir():
        if path.name.startswith((GUEST, ".migrator-made")):
            yield path.name


def contents(host: Host) -> Mapping[str, str]:
    """A digest of every byte of its local volumes."""
    return {
        name: hashlib.sha256((Path(host.pools["local"]) / name).read_bytes()).hexdigest()
        for name in COPIED
    }


def occupied(host: Host) -> int:
    return sum((Path(host.pools["local"]) / name).stat().st_blocks * 512 for name in COPIED)


def move(lab: Lab, guest: str, to: Host, *options: str) -> Document:
    return lab.move(guest, to, "--kind", "cold", *options)


def test_a_guest_that_is_off_moves_with_its_disks_and_comes_up_there(lab: Lab, guest: str) -> None:
    source = off(lab, guest)
    destination = lab.other(source)
    before, space = contents(source), occupied(source)

    moved = move(lab, guest, destination)

    assert (moved["kind"], moved["method"], moved["disk_remaining"]) == ("cold", "cold", 0)
    settled(lab, guest, destination, "shut off")
    assert contents(destination) == before
    assert abs(occupied(destination) - space) <= max(space // 100, 64 * 1024)
    on(lab, guest)


def test_a_running_guest_is_shut_down_for_it_and_started_there(lab: Lab, guest: str) -> None:
    source = on(lab, guest)
    destination = lab.other(source)
    before = boots(lab, guest)

    moved = move(lab, guest, destination)

    assert moved["downtime_ms"] is not None
    settled(lab, guest, destination, "running")
    comes_up(lab, guest, before)


def test_a_saved_guest_takes_its_memory_along_and_goes_on_where_it_stood(
    lab: Lab, guest: str
) -> None:
    source = on(lab, guest)
    destination = lab.other(source)
    lab.virsh(source, "managedsave", guest)
    settled(lab, guest, source, "shut off")
    beats = lab.beats(guest)

    move(lab, guest, destination)

    settled(lab, guest, destination, "shut off")
    assert not [pool for pool in pools(lab, destination) if pool.startswith("migrator-")]
    assert not memory_image(source, guest).exists()
    assert memory_image(destination, guest).exists()
    # And back: its libvirt has not saved this one itself, which is no reason to forget it.
    move(lab, guest, source)
    assert memory_image(source, guest).exists()
    move(lab, guest, destination)
    lab.virsh(destination, "start", guest)
    beating(lab, guest, len(beats))
    numbers = [int(beat["n"]) for beat in lab.beats(guest)[len(beats) - 1 :]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    settled(lab, guest, destination, "running")


UEFI = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type>
<loader readonly='yes' type='pflash'>/usr/share/no-such-firmware.fd</loader>
<nvram>/var/lib/libvirt/qemu/nvram/{name}_VARS.fd</nvram></os><features><acpi/></features></domain>"""


def test_firmware_variables_go_along(lab: Lab, tmp_path: Path) -> None:
    source, destination = lab.hosts
    definition = tmp_path / "uefi.xml"
    definition.write_text(UEFI.format(name="firm"))
    lab.virsh(source, "define", str(definition))
    try:
        here, there = (_variables(host, "firm") for host in lab.hosts)
        here.parent.mkdir(parents=True, exist_ok=True)
        there.parent.mkdir(parents=True, exist_ok=True)
        here.write_bytes(b"boot order" * 1000)
        known = lambda: any(  # noqa: E731
            each["name"] == "firm" for each in lab.api("v1", "instances")["instances"]
        )
        await_(known, "the service knows firm")

        lab.move("firm", destination, "--kind", "cold")

        assert there.read_bytes() == b"boot order" * 1000
        assert not here.exists()
        assert lab.names_on(source).count("firm") == 0
    finally:
        for host in lab.hosts:
            lab.virsh(host, "undefine", "firm", "--nvram", check=False)
        lab.await_gone("firm")


def _variables(host: Host, guest: str) -> Path:
    return Path(host.pools["local"]).parent / "qemu" / "nvram" / f"{guest}_VARS.fd"


def memory_image(host: Host, guest: str) -> Path:
    """Where its libvirt looks for it."""
    return Path(host.pools["local"]).parent / "qemu" / "save" / f"{guest}.save"


def pools(lab: Lab, host: Host) -> list[str]:
    return lab.virsh(host, "pool-list", "--all", "--name").split()


def poison(volume: Path, backing: Path) -> None:
    """What a guest may write to its own disk: the header of a qcow2 that stands on a host's file."""
    name = str(backing).encode()
    header = b"QFI\xfb" + struct.pack(">IQIIQ", 2, 512, len(name), 16, 48 * MIB)
    with volume.open("r+b") as file:
        file.write(header.ljust(512, b"\0") + name)


def test_a_raw_disk_that_pretends_to_be_another_format_stays_what_it_is(
    lab: Lab, guest: str, tmp_path: Path
) -> None:
    source = off(lab, guest)
    destination = lab.other(source)
    secret = tmp_path / "secret"
    secret.write_bytes(b"of the host" * 100)
    volume = Path(source.pools["local"]) / COPIED[0]
    keep = tmp_path / "keep"
    with volume.open("rb") as file:
        keep.write_bytes(file.read(MIB))
    poison(volume, secret)
    lab.virsh(source, "pool-refresh", "local")
    before = contents(source)
    with Openings(secret) as openings:
        move(lab, guest, destination)
    # libvirt's own storage driver looks where such a header points whenever a pool is refreshed, by us
    # or by itself after an upload; nobody that would believe it does.
    assert set(openings.programs) <= {"libvirtd", "vol-refresh"}
    assert contents(destination) == before
    (driver,) = [
        disk.find("driver")
        for disk in lab.xml_on(destination, guest).iterfind("devices/disk")
        if disk.find("target[@dev='vda']") is not None
    ]
    assert driver is not None
    assert driver.get("type") == "raw"
    with (Path(destination.pools["local"]) / COPIED[0]).open("r+b") as file:
        file.write(keep.read_bytes())


def test_a_pool_that_fills_up_during_the_copy_brings_the_guest_back(lab: Lab, guest: str) -> None:
    source = on(lab, guest)
    destination = lab.other(source)
    with (Path(source.pools["local"]) / COPIED[0]).open("r+b") as file:
        file.seek(20 * MIB)
        file.write(os.urandom(16 * MIB))
    before = boots(lab, guest)
    with small_pool(lab, destination, mib=80) as inside:
        moving = lab.migrate(guest, destination, "--kind", "cold", *SLOW, "--map-disk", "vda=small")
        moving.until(lambda view: view["state"] == "copying" and bool(view["disk_total"]))
        inside("dd", "if=/dev/zero", f"of={SMALL_POOL}/filler", "bs=1M", "count=80")
        ended = moving.until_ended()
        assert (ended["state"], ended["error_code"]) == ("failed", "copy.failed"), moving.story()
        assert inside("ls", "-A", SMALL_POOL).split() == ["filler"]
    settled(lab, guest, source, "running")
    comes_up(lab, guest, before)


def test_an_abort_in_the_middle_brings_the_guest_back(lab: Lab, guest: str) -> None:
    source = on(lab, guest)
    before = boots(lab, guest)
    moving = start(lab, guest)

    assert lab.migrator("migration", "abort", moving.id).status == 0
    ended = moving.until_ended()

    assert ended["state"] == "cancelled", moving.story()
    settled(lab, guest, source, "running")
    comes_up(lab, guest, before)


def test_a_service_that_is_killed_in_the_middle_goes_on(lab: Lab, guest: str) -> None:
    source = on(lab, guest)
    destination = lab.other(source)
    before = boots(lab, guest)
    moving = start(lab, guest)

    lab.tool("kill", "conductor")
    lab.up()
    ended = moving.until_ended(180)

    assert ended["state"] == "completed", moving.story()
    settled(lab, guest, destination, "running")
    comes_up(lab, guest, before)


def start(lab: Lab, guest: str) -> Moving:
    """In the middle of a slow copy."""
    moving = lab.migrate(guest, lab.other(home(lab, guest)), "--kind", "cold", *SLOW)
    moving.until(lambda view: view["state"] == "copying" and bool(view["disk_total"]))
    return moving


def test_a_revert_brings_the_guest_back_to_what_it_was(lab: Lab, guest: str) -> None:
    source = on(lab, guest)
    destination = lab.other(source)
    keeping_sources(lab, 600)
    before = boots(lab, guest)
    try:
        moving = lab.migrate(guest, destination, "--kind", "cold")
        moving.until(lambda view: view["state"] == "awaiting_confirm")
        assert lab.state_on(source, guest) == "shut off"
        comes_up(lab, guest, before)
        before = boots(lab, guest)

        done = lab.migrator("migration", "revert", moving.id, "--wait", "-f", "json")

        assert done.status == 0, done.err
        assert done.json["state"] == "reverted"
        settled(lab, guest, source, "running")
        comes_up(lab, guest, before)
    finally:
        keeping_sources(lab, 0)


def keeping_sources(lab: Lab, seconds: int) -> None:
    """The service, started anew."""
    lab.tool("kill", "conductor")
    lab.tool("up", "--confirm-window", str(seconds))
    lab.up()

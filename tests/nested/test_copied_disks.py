"""Guests move with the disks their hosts do not share: on the hosts, by the hosts' own tools."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.qcow2 import qcow2_head
from tests.nested.lab import Host, Lab, Moving, await_
from tests.nested.verify import verify

pytestmark = [pytest.mark.nested, pytest.mark.usefixtures("discarding")]

MIB = 1024 * 1024
SMALL = ("--memory", "128", "--dirty", "8", "--dirty-rate", "2")
DISKS = ("--disk", "local:64:raw", "--disk", "local:64:qcow2", "--disk", "shared:16:raw", "--cdrom")
WANDERER = "wanderer"
UNUSED = 40 * MIB
"""Where the guest's own writes do not get to while a test lasts."""
SLOW = ("--bandwidth", "3")
IN_OPEN = 0x20
SMALL_POOL = "/var/lib/libvirt/small"


@pytest.fixture(scope="module")
def discarding(standalone: Lab) -> Iterator[None]:
    yield
    standalone.discard(WANDERER)


@pytest.fixture
def wanderer(lab: Lab) -> str:
    """Writes to two local disks and a shared one, and has an empty cdrom drive; lives through all
    tests and may be anywhere."""
    if WANDERER not in lab.guests:
        lab.boot(WANDERER, lab.hosts[0], *SMALL, *DISKS)
        fill(volume(lab.hosts[0], f"{WANDERER}-vda"), UNUSED)
    return WANDERER


def volume(host: Host, name: str, pool: str = "local") -> Path:
    """Its file, as the machine sees it."""
    return Path(host.pools[pool]) / name


def fill(path: Path, offset: int, size: int = 16 * MIB) -> None:
    """Put what cannot be skipped into a raw volume, as its guest would."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(os.urandom(size))


def names(host: Host, pool: str = "local") -> set[str]:
    """Volumes there, without tokens."""
    found = (path.name for path in Path(host.pools[pool]).iterdir())
    return {name for name in found if not name.startswith((".migrator-token", ".migrator-nonce"))}


def allocated(path: Path) -> int:
    return path.stat().st_blocks * 512


def homes(guest: str) -> set[str]:
    return {f"{guest}-vda", f"{guest}-vdb"}


def healthy(lab: Lab, guest: str) -> None:
    """Its disks hold what it wrote, by its own checksums."""
    beats = lab.beats(guest)
    assert {beat["disk"] for beat in beats} == {"ok"}
    writes = [int(beat["writes"]) for beat in beats]
    assert writes == sorted(writes)


def start_slowly(lab: Lab, guest: str, forced: bool = False) -> tuple[Host, Host, Moving]:
    """In the middle of the disk phase; ``forced`` as soon as it was accepted."""
    source = lab.home_of(guest)
    moving = lab.migrate(guest, lab.other(source), *SLOW)
    if forced:
        before = lab.migrator("migration", "force-complete", moving.id)
        assert (before.status, "deferred" in before.err + before.out) == (0, True), before.err
    view = moving.until(lambda view: view["phase"] == "disk" and bool(view["disk_total"]))
    assert 0 < view["disk_remaining"] <= view["disk_total"]
    assert not view["memory_total"]
    return source, lab.other(source), moving


def test_mixed_disks_move_in_one_go_while_the_guest_writes(lab: Lab, wanderer: str) -> None:
    source = lab.home_of(wanderer)
    destination = lab.other(source)
    before = {name: allocated(volume(source, name)) for name in homes(wanderer)}
    shared = volume(source, f"{wanderer}-vdc", "shared").stat().st_ino

    view = lab.move(wanderer, destination)

    assert view["disk_total"] >= 128 * MIB
    assert view["disk_remaining"] == 0
    assert names(source).isdisjoint(homes(wanderer))
    assert names(destination) >= homes(wanderer)
    assert not [name for name in names(destination) if name.startswith(".migrator")]
    assert volume(source, f"{wanderer}-vdc", "shared").stat().st_ino == shared
    for name, size in before.items():
        path = volume(destination, name)
        assert allocated(path) < size + 4 * MIB, f"{name} is not sparse any more"
    assert volume(destination, f"{wanderer}-vda").stat().st_size == 64 * MIB
    for target, form in (("vda", "raw"), ("vdb", "qcow2")):
        for options in ((), ("--inactive",)):
            disk = lab.xml_on(destination, wanderer, *options).find(
                f"devices/disk/target[@dev='{target}']/.."
            )
            driver = disk.find("driver") if disk is not None else None
            assert driver is not None
            assert driver.get("type") == form
            assert driver.get("detect_zeroes") == (None if options else "unmap")
    shown = lab.migrator("instance", "show", wanderer, "-f", "json").json
    assert {disk["target"]: disk["pool"] for disk in shown["disks"]} == {
        "vda": "local",
        "vdb": "local",
        "vdc": "shared",
        "sda": None,
    }
    verify(lab)
    healthy(lab, wanderer)


def test_the_copies_are_what_the_sources_were(lab: Lab, wanderer: str, tmp_path: Path) -> None:
    source = lab.home_of(wanderer)
    destination = lab.other(source)
    lab.virsh(source, "suspend", wanderer)
    lab.guests[wanderer] = "paused"
    kept = {name: volume(source, f"{name}.kept") for name in homes(wanderer)}
    for name, path in kept.items():
        os.link(volume(source, name), path)
    try:
        lab.move(wanderer, destination)
        for name, form in ((f"{wanderer}-vda", "raw"), (f"{wanderer}-vdb", "qcow2")):
            both = kept[name], volume(destination, name)
            compared = subprocess.run(
                ["qemu-img", "compare", "-U", "-f", form, "-F", form, *both],
                capture_output=True,
                text=True,
                check=False,
            )
            assert compared.returncode == 0, compared.stdout + compared.stderr
        assert kept[f"{wanderer}-vda"].read_bytes() == (
            volume(destination, f"{wanderer}-vda").read_bytes()
        )
    finally:
        for path in kept.values():
            path.unlink()
        lab.virsh(lab.home_of(wanderer), "resume", wanderer)
        lab.guests[wanderer] = "running"
    verify(lab)
    healthy(lab, wanderer)


def test_an_abort_in_the_disk_phase_leaves_nothing_behind(lab: Lab, wanderer: str) -> None:
    source, destination, moving = start_slowly(lab, wanderer)
    copies = moving.lab.api("v1", "migrations", moving.id, "disks")["disks"]
    assert {disk["target"]: disk["mode"] for disk in copies} == {
        "vda": "copy",
        "vdb": "copy",
        "vdc": "shared",
        "sda": "skip",
    }
    done = lab.migrator("migration", "abort", moving.id, "--wait")
    assert done.status == 0, done.err
    assert lab.home_of(wanderer) == source
    assert names(source) >= homes(wanderer)
    assert not names(destination) & homes(wanderer)
    assert not [name for name in names(destination) if name.startswith(".migrator")]
    verify(lab)
    healthy(lab, wanderer)


def test_a_service_that_is_killed_in_the_disk_phase_loses_and_orphans_nothing(
    lab: Lab, wanderer: str
) -> None:
    """Nor what it was asked for: before the transfer and amid the disks a force-complete is put off."""
    source, destination, moving = start_slowly(lab, wanderer, forced=True)
    amid = lab.migrator("migration", "force-complete", moving.id)
    assert (amid.status, "deferred" in amid.err + amid.out) == (0, True), amid.err
    assert moving.show()["phase"] == "disk", "nothing was hurried"
    lab.tool("kill", "conductor")
    lab.up()
    await_(
        lambda: (
            lab.state_on(destination, wanderer) == "running"
            or "memory" in str(moving.show()["phase"])
        ),
        "the disks are there",
        90,
    )
    lab.virsh(source, "migrate-setspeed", wanderer, "4000", check=False)
    ended = moving.until_ended()
    assert ended["state"] == "completed", moving.story()
    assert lab.home_of(wanderer) == destination
    assert names(destination) >= homes(wanderer)
    assert names(source).isdisjoint(homes(wanderer))
    verify(lab)
    healthy(lab, wanderer)


def test_what_is_in_the_way_or_too_large_is_refused_and_nothing_is_touched(
    lab: Lab, wanderer: str
) -> None:
    source = lab.home_of(wanderer)
    destination = lab.other(source)
    foreign = volume(destination, f"{wanderer}-vda")
    foreign.write_bytes(b"precious")
    try:
        done = lab.migrator("migrate", wanderer, "--host", destination.name)
        assert (done.status, done.code) == (2, "volume.exists"), done.err
        assert foreign.read_bytes() == b"precious"
    finally:
        foreign.unlink()
    with small_pool(lab, destination):
        done = lab.migrator(
            "migrate", wanderer, "--host", destination.name, "--map-disk", "vda=small"
        )
        assert (done.status, done.code) == (2, "pool.full"), done.err
    assert not names(destination) & homes(wanderer)
    verify(lab)


def test_a_pool_that_fills_up_during_the_copy_rolls_back(lab: Lab, wanderer: str) -> None:
    source = lab.home_of(wanderer)
    destination = lab.other(source)
    with small_pool(lab, destination, mib=80) as room:
        moving = lab.migrate(
            wanderer, destination, *SLOW, "--map-disk", "vda=small", "--map-disk", "vdb=local"
        )
        moving.until(lambda view: view["phase"] == "disk" and bool(view["disk_total"]))
        room("dd", "if=/dev/zero", f"of={SMALL_POOL}/filler", "bs=1M", "count=80")
        ended = moving.until_ended()
        assert (ended["state"], ended["error_code"]) == ("failed", "transfer.failed")
        left = room("ls", "-A", SMALL_POOL).split()
        assert f"{wanderer}-vda" not in left
        assert not [name for name in left if "made" in name]
    assert lab.home_of(wanderer) == source
    assert names(source) >= homes(wanderer)
    verify(lab)
    healthy(lab, wanderer)


def test_hosts_that_were_cloned_with_their_tokens_are_not_taken_for_sharing(
    lab: Lab, wanderer: str
) -> None:
    source = lab.home_of(wanderer)
    destination = lab.other(source)
    for path in list(Path(source.pools["local"]).glob(".migrator-*")):
        volume(destination, path.name).write_bytes(path.read_bytes())
    done = lab.migrator("migrate", wanderer, "--host", destination.name, "--dry-run", "-f", "json")
    (host,) = [each for each in done.json["hosts"] if each["host"] == destination.name]
    assert {disk["target"]: disk["mode"] for disk in host["disks"]}["vda"] == "copy"


def test_a_poisoned_disk_moves_as_the_bytes_it_is_and_nobody_opens_what_it_names(
    lab: Lab, wanderer: str, tmp_path: Path
) -> None:
    source = lab.home_of(wanderer)
    destination = lab.other(source)
    secrets = [Path("/var/tmp") / f"migrator-secret-{os.getpid()}-{number}" for number in (1, 2)]
    for secret in secrets:
        secret.write_bytes(b"secret" * 1000)
    raw = volume(source, f"{wanderer}-vda")
    poison = qcow2_head(64 * MIB, str(secrets[0]), features=1 << 2)[:4096]
    name = str(secrets[1]).encode()
    poison = poison[:104] + struct.pack(">II", 0x44415441, len(name)) + name.ljust(64, b"\0")
    lab.virsh(source, "suspend", wanderer)
    lab.guests[wanderer] = "paused"
    kept = volume(source, "poisoned.kept")
    os.link(raw, kept)
    with raw.open("r+b") as file:
        honest = file.read(len(poison))
        file.seek(0)
        file.write(poison)
    try:
        with opened(secrets) as was_opened:
            for host in (source, destination):
                lab.virsh(host, "pool-refresh", "local")
            view = lab.move(wanderer, destination)
            lab.virsh(destination, "pool-refresh", "local")
            assert was_opened() == 0
        copy = volume(destination, f"{wanderer}-vda")
        assert copy.read_bytes() == kept.read_bytes()
        driver = lab.xml_on(destination, wanderer).find("devices/disk/target[@dev='vda']/../driver")
        assert driver is not None
        assert driver.get("type") == "raw"
        story = Moving(lab, view["id"]).story()
        assert "disk.header_suspicious" in story
    finally:
        home = lab.home_of(wanderer)
        with volume(home, f"{wanderer}-vda").open("r+b") as file:
            file.write(honest)
        kept.unlink()
        for secret in secrets:
            secret.unlink()
        lab.virsh(home, "resume", wanderer)
        lab.guests[wanderer] = "running"
    verify(lab)


def test_a_disk_on_a_snapshot_arrives_standing_alone_when_asked_to(lab: Lab, wanderer: str) -> None:
    source = lab.home_of(wanderer)
    destination = lab.other(source)
    top = f"{wanderer}-vdb.top"
    others = ("--diskspec", "vda,snapshot=no", "--diskspec", "vdc,snapshot=no")
    directory = lab.virsh(source, "pool-dumpxml", "local").partition("<path>")[2].partition("<")[0]
    lab.virsh(
        source,
        *("snapshot-create-as", wanderer, "--disk-only", "--no-metadata", *others),
        *("--diskspec", f"vdb,file={directory}/{top}"),
    )
    lab.virsh(source, "pool-refresh", "local")
    try:
        lab.move(wanderer, destination, "--flatten")
        told = subprocess.run(
            ["qemu-img", "info", "-U", "-f", "qcow2", volume(destination, top)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert "backing file" not in told
        assert top not in names(source)
        assert f"{wanderer}-vdb" in names(source), "a base image may be others' too"
        healthy(lab, wanderer)
    finally:
        lab.discard(wanderer)
        for host in lab.hosts:
            volume(host, top).unlink(missing_ok=True)
    verify(lab)


@contextmanager
def opened(paths: list[Path]) -> Iterator[Callable[[], int]]:
    """Asks how often any process of the machine, in whatever namespace, has opened one of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    watcher = libc.inotify_init1(os.O_NONBLOCK)
    for path in paths:
        assert libc.inotify_add_watch(watcher, bytes(path), IN_OPEN) >= 0

    def count() -> int:
        try:
            return len(os.read(watcher, 65536))
        except BlockingIOError:
            return 0

    paths[0].read_bytes()
    assert count() > 0, "the watch does not work"
    try:
        yield count
    finally:
        os.close(watcher)


@contextmanager
def small_pool(lab: Lab, host: Host, mib: int = 40) -> Iterator[Callable[..., str]]:
    """A pool of that size on a file system of its own; yields a way to run a command beside it."""

    def inside(*words: str) -> str:
        return lab.tool("exec", host.name, *words, check=False).out

    inside("mkdir", "-p", SMALL_POOL)
    inside("mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", SMALL_POOL)
    lab.virsh(host, "pool-create-as", "small", "dir", "--target", SMALL_POOL)
    try:
        yield inside
    finally:
        lab.virsh(host, "pool-destroy", "small", check=False)
        inside("umount", SMALL_POOL)

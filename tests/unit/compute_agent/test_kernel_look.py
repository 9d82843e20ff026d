"""What an agent reads of its own host."""

from __future__ import annotations

from pathlib import Path

import pytest

from migrator.compute_agent.kernel_look import (
    is_local,
    link_mib_s,
    locks_memory,
    why_no_page_faults,
)

QEMU_7, QEMU_8 = 7_002_022, 8_000_000


@pytest.mark.parametrize(
    ("uri", "local"),
    [
        ("qemu:///system", True),
        ("qemu+unix:///system?socket=/run/libvirt/libvirt-sock", True),
        ("qemu+tls://h1/system", False),
        ("qemu+ssh://root@h1/system", False),
        ("qemu+tcp://192.0.2.1/system", False),
    ],
)
def test_only_the_host_the_agent_runs_on_is_looked_at(uri: str, local: bool) -> None:
    assert is_local(uri) is local


def capabilities(label: str | None) -> str:
    model = "" if label is None else f"<baselabel type='kvm'>{label}</baselabel>"
    return (
        f"<capabilities><host><secmodel><model>dac</model>{model}</secmodel></host></capabilities>"
    )


def machine(root: Path, sysctl: str | None, device: bool) -> Path:
    (root / "proc/sys/vm").mkdir(parents=True)
    (root / "dev").mkdir()
    if sysctl is not None:
        (root / "proc/sys/vm/unprivileged_userfaultfd").write_text(f"{sysctl}\n")
    if device:
        (root / "dev/userfaultfd").touch()
    return root


@pytest.mark.parametrize(
    ("label", "qemu", "sysctl", "device", "certain"),
    [
        ("+64055:+108", QEMU_7, "0", True, True),
        ("+64055:+108", QEMU_8, "0", False, True),
        ("+64055:+108", QEMU_8, "0", True, False),
        ("+64055:+108", QEMU_7, "1", False, False),
        ("+64055:+108", QEMU_7, None, False, False),
        ("+0:+0", QEMU_7, "0", False, False),
        (None, QEMU_7, "0", False, False),
        ("libvirt-qemu:kvm", QEMU_7, "0", False, False),
    ],
)
def test_post_copy_is_ruled_out_only_where_that_is_certain(
    tmp_path: Path, label: str | None, qemu: int, sysctl: str | None, device: bool, certain: bool
) -> None:
    root = machine(tmp_path, sysctl, device)
    why = why_no_page_faults(capabilities(label), qemu, root)
    assert bool(why) is certain
    assert not certain or "QEMU runs as user 64055" in why


def test_whether_memory_may_be_locked_is_read_from_every_daemon(tmp_path: Path) -> None:
    def process(number: int, name: str, effective: str) -> None:
        (tmp_path / f"proc/{number}").mkdir(parents=True)
        text = f"Name:\t{name}\nUmask:\t0022\nCapEff:\t{effective}\n"
        (tmp_path / f"proc/{number}/status").write_text(text)

    process(1, "init", "0000000000000000")
    assert locks_memory(tmp_path) is None
    process(20, "libvirtd", "000001ffffffffff")
    assert locks_memory(tmp_path) is True
    process(30, "virtqemud", "000001fffeffffff")
    assert locks_memory(tmp_path) is False


def test_a_device_without_a_speed_and_a_strange_address_tell_nothing() -> None:
    assert link_mib_s("127.0.0.1") is None
    assert link_mib_s("::1") is None
    assert link_mib_s("203.0.113.77") is None
    assert link_mib_s("h1.example.org") is None

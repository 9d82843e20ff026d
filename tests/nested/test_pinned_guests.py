"""A vCPU that has a CPU to itself gets one wherever its guest goes, or the guest does not go there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nested.lab import Host, Lab
from tests.nested.verify import verify

pytestmark = pytest.mark.nested

SMALL = ("--memory", "96", "--vcpus", "1")


def pinned_to(lab: Lab, host: Host, guest: str) -> str:
    """What libvirt says of its vCPU."""
    return lab.virsh(host, "vcpupin", guest, "--live").split()[-1]


def runs_on(lab: Lab, host: Host, guest: str) -> str:
    """What the kernel says of the thread of its vCPU."""
    (here,) = [each for each in lab.describe() if each["name"] == host.name]
    tasks = Path(f"/proc/{here['pids']['qemu'][guest]}/task")
    (vcpu,) = [task for task in tasks.iterdir() if (task / "comm").read_text().startswith("CPU 0")]
    lines = (vcpu / "status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith("Cpus_allowed_list:"))


def claimed(lab: Lab, host: Host, guest: str) -> str:
    """What the service has claimed for it."""
    claims = lab.api("v1", "claims")["claims"]
    (claim,) = [each for each in claims if (each["host"], each["instance"]) == (host.name, guest)]
    return str(claim["pins"].get("0"))


def has(lab: Lab, host: Host, guest: str) -> str:
    """Its CPU, once libvirt, the kernel and the claim agree, in the definition as well."""
    told = {
        pinned_to(lab, host, guest),
        lab.virsh(host, "vcpupin", guest, "--config").split()[-1],
        runs_on(lab, host, guest),
        claimed(lab, host, guest),
    }
    assert len(told) == 1, told
    return told.pop()


@pytest.fixture
def pinned(lab: Lab) -> Iterator[Lab]:
    """``mover`` has CPU 0 of the first host, ``sitter`` CPU 0 of the second."""
    first, second = lab.hosts
    lab.boot("mover", first, *SMALL, "--pin", "0")
    lab.boot("sitter", second, *SMALL, "--pin", "0")
    yield lab
    for name in [each for each in ("mover", "sitter", "other") if each in lab.guests]:
        lab.discard(name)


def test_a_guest_gets_another_cpu_where_its_own_is_taken_and_none_where_all_are(
    pinned: Lab,
) -> None:
    first, second = pinned.hosts
    assert (has(pinned, first, "mover"), has(pinned, second, "sitter")) == ("0", "0")

    pinned.move("mover", second)
    assert (has(pinned, second, "mover"), has(pinned, second, "sitter")) == ("1", "0")

    pinned.move("mover", first)
    assert has(pinned, first, "mover") in {"0", "1"}
    assert pinned.migrator("claim", "audit").status == 0
    verify(pinned)

    pinned.boot("other", second, *SMALL, "--pin", "1")
    for forced in ((), ("--force", "--reason", "to see it refused")):
        done = pinned.migrator("migrate", "mover", "--host", second.name, *forced)
        assert (done.status, done.code) == (2, "cpus.insufficient"), done.err
        assert second.name in done.err
    verify(pinned)

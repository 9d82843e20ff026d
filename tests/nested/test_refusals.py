"""A migration that cannot be is refused with a code, and leaves no trace on any host."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.nested.lab import Host, Lab, await_
from tests.nested.verify import verify

pytestmark = pytest.mark.nested

DEFINITION = """<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>64</memory>
<vcpu>1</vcpu><os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"""


@pytest.fixture
def target(lab: Lab, roamer: str) -> Host:
    """Where the guest is not."""
    return lab.other(lab.home_of(roamer))


def refuse(lab: Lab, code: str, *words: str, status: int = 2) -> str:
    """The words on stderr of a refusal that has changed nothing."""
    before, migrations = lab.definitions(), _accepted(lab)
    done = lab.migrator("migrate", *words, "--wait", "-f", "json")
    assert (done.status, done.code) == (status, code), done.err
    assert done.out == ""
    assert lab.definitions() == before
    assert _accepted(lab) == migrations
    return done.err


def ask(lab: Lab, instance: str, host: str) -> tuple[int, str]:
    """Exit status and code of an answer."""
    done = lab.migrator("migrate", instance, "--host", host)
    return done.status, done.code


def _accepted(lab: Lab) -> int:
    return len(lab.api("v1", "migrations", limit="1000")["migrations"])


@contextmanager
def defined(lab: Lab, tmp_path: Path, name: str, *homes: tuple[Host, str]) -> Iterator[None]:
    """Shut-off domains of one name, each (host, uuid), which the service knows of."""
    for host, identity in homes:
        file = tmp_path / f"{host.name}.xml"
        file.write_text(DEFINITION.format(name=name, uuid=identity))
        lab.virsh(host, "define", str(file))
    wanted = len({identity for _, identity in homes})

    def known() -> bool:
        shown = lab.api("v1", "instances")["instances"]
        mine = [each for each in shown if each["name"] == name and each["status"] != "gone"]
        one_guest_twice = wanted == 1 and len(homes) == 2
        settled = all(each["candidates"] for each in mine) or not one_guest_twice
        return len(mine) == wanted and settled

    await_(known, f"the service knows {name}")
    try:
        yield
    finally:
        for host, _ in homes:
            lab.virsh(host, "undefine", name)
        lab.await_gone(name)


def test_an_unknown_instance_is_refused(lab: Lab, target: Host) -> None:
    refuse(lab, "instance.unknown", "nobody", "--host", target.name)


def test_names_that_mean_something_elsewhere_are_only_names_that_do_not_fit(
    lab: Lab, roamer: str
) -> None:
    before = lab.definitions()
    for name in ("qemu+ssh:evil", "a; rm -rf .", "$(reboot)"):
        assert ask(lab, name, lab.hosts[0].name) == (2, "instance.unknown")
        assert ask(lab, roamer, name) == (2, "host.unknown")
    for name in ("qemu+ssh://evil/system", "../../x", "two\nlines"):
        assert ask(lab, name, lab.hosts[0].name) == (2, "request.invalid")
        assert ask(lab, roamer, name) == (2, "request.invalid")
    assert lab.definitions() == before


def test_a_name_that_fits_two_guests_is_refused_with_both(
    lab: Lab, target: Host, tmp_path: Path
) -> None:
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    homes = [(lab.hosts[0], first), (lab.hosts[1], second)]
    with defined(lab, tmp_path, "twin", *homes):
        said = refuse(lab, "instance.ambiguous_name", "twin", "--host", target.name)
    assert first in said
    assert second in said


def test_a_guest_that_two_hosts_define_and_none_runs_is_refused(
    lab: Lab, target: Host, tmp_path: Path
) -> None:
    identity = str(uuid.uuid4())
    with defined(lab, tmp_path, "torn", *((host, identity) for host in lab.hosts)):
        said = refuse(lab, "instance.ambiguous", "torn", "--host", target.name)
    assert all(host.name in said for host in lab.hosts)


def test_a_guest_that_is_shut_off_is_refused(lab: Lab, target: Host, tmp_path: Path) -> None:
    home = lab.other(target)
    with defined(lab, tmp_path, "asleep", (home, str(uuid.uuid4()))):
        refuse(lab, "guest.not_active", "asleep", "--host", target.name)


def test_an_unknown_host_is_refused_with_those_that_there_are(lab: Lab, roamer: str) -> None:
    said = refuse(lab, "host.unknown", roamer, "--host", "h99")
    assert all(host.name in said for host in lab.hosts)


def test_the_host_it_is_on_is_refused(lab: Lab, roamer: str) -> None:
    refuse(lab, "host.is_source", roamer, "--host", lab.home_of(roamer).name)


@pytest.mark.parametrize("kind", ["evacuate", "warm"])
def test_kinds_that_are_not_built_are_refused(
    lab: Lab, roamer: str, target: Host, kind: str
) -> None:
    refuse(lab, "kind.unsupported", roamer, "--host", target.name, "--kind", kind)


def test_forcing_without_a_reason_is_refused(lab: Lab, roamer: str, target: Host) -> None:
    refuse(lab, "request.invalid", roamer, "--host", target.name, "--force")


def test_a_strangers_domain_of_that_name_at_the_destination_is_left_alone(
    lab: Lab, target: Host, roamer: str, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger.xml"
    stranger.write_text(DEFINITION.format(name=roamer, uuid=uuid.uuid4()))
    lab.virsh(target, "define", str(stranger))
    identity = lab.virsh(lab.home_of(roamer), "domuuid", roamer)
    try:
        refuse(lab, "destination.domain_exists", identity, "--host", target.name)
    finally:
        lab.virsh(target, "undefine", roamer)
    verify(lab)


def test_a_disabled_host_is_refused_until_it_is_enabled(
    lab: Lab, target: Host, roamer: str
) -> None:
    assert lab.migrator("host", "disable", target.name).status == 0
    try:
        refuse(lab, "host.disabled", roamer, "--host", target.name)
    finally:
        assert lab.migrator("host", "enable", target.name).status == 0
    verify(lab)


def test_a_destination_whose_libvirt_is_dead_is_refused(
    lab: Lab, target: Host, roamer: str
) -> None:
    source = lab.home_of(roamer)
    before = lab.virsh(source, "dumpxml", roamer)
    lab.tool("kill", "libvirtd", target.name)
    try:
        done = lab.migrator("migrate", roamer, "--host", target.name, "--wait")
        assert done.status in (2, 3)
        assert done.code, done.err
        assert target.name in done.err
        assert lab.virsh(source, "dumpxml", roamer) == before
    finally:
        lab.up()
    await_(
        lambda: lab.api("v1", "hosts", target.name)["alive"],
        f"the service sees {target.name} again",
    )
    verify(lab)

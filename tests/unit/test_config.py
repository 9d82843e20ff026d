"""What a configuration file may say, and what the sentence is when it may not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from migrator import addresses, config
from migrator.errors import Refused
from migrator.model import DevicePattern, HostLimits

TOP = Path(__file__).parents[2]

GOOD = """
[DEFAULT]
state_path = /var/lib/migrator
[database]
connection = sqlite:////var/lib/migrator/m.sqlite
[fleet]
hosts = h1, h2
[host:h1]
libvirt_uri = qemu+tls://h1.example/system
peer_uri = qemu+tls://h1.example/system
control_address = 10.0.0.1
[host:h2]
libvirt_uri = qemu+tls://h2.example/system
peer_uri = qemu+tls://h2.example/system
control_address = 10.0.0.2
migration_address = 10.1.0.2
disk_address = FD00::2
"""

Load = Callable[..., object]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load that text as the configuration file."""

    def load_text(text: str, prog: str = "migrator-standalone", *arguments: str) -> object:
        path = tmp_path / "migrator.conf"
        path.write_text(text.replace("/var/lib/migrator\n", f"{tmp_path}\n"))
        return config.load(["--config-file", str(path), *arguments], prog)

    return load_text


def test_addresses_that_are_not_given_follow_from_those_that_are(load: Load) -> None:
    hosts = config.hosts(load(GOOD))
    assert list(hosts) == ["h1", "h2"]
    assert hosts["h1"].migration_address == hosts["h1"].disk_address == "10.0.0.1"
    assert hosts["h2"].migration_address == "10.1.0.2"
    assert hosts["h2"].disk_address == "fd00::2"


def test_a_second_load_forgets_the_first(load: Load) -> None:
    load(GOOD)
    only_h1 = GOOD.replace("h1, h2", "h1").split("[host:h2]")[0]
    assert list(config.hosts(load(only_h1))) == ["h1"]


def test_the_conductor_gets_its_settings(load: Load) -> None:
    text = GOOD + "[conductor]\nname = c1\nlease_s = 3\nmax_outgoing = 5\n"
    settings = config.conductor_settings(load(text))
    assert (settings.name, settings.lease_s, settings.max_outgoing) == ("c1", 3.0, 5)
    assert settings.encryption == "required"
    assert list(settings.hosts) == ["h1", "h2"]


def test_links_are_not_counted_until_somebody_says_what_they_have(load: Load) -> None:
    assert config.conductor_settings(load(GOOD)).link_mib_s is None
    text = GOOD + "[conductor]\nlink_bandwidth = 1000\nlink_bandwidths = h2:2500\n"
    settings = config.conductor_settings(load(text))
    assert (settings.link_mib_s, settings.links_mib_s) == (1000, {"h2": 2500})


def test_an_agent_is_told_its_host_on_the_command_line(load: Load) -> None:
    text = GOOD.replace("[DEFAULT]", "[DEFAULT]\ntransport_url = rabbit://u:p@broker:5672/")
    assert config.agent_host(load(text, "migrator-agent", "--host", "h2")) == "h2"


def test_an_agent_of_an_unlisted_host_is_refused(load: Load) -> None:
    text = GOOD.replace("[DEFAULT]", "[DEFAULT]\ntransport_url = rabbit://u:p@broker:5672/")
    with pytest.raises(Refused, match=r"h9.*\[fleet\] hosts does not list"):
        load(text, "migrator-agent", "--host", "h9")


def test_a_conductor_s_name_on_the_command_line_wins(load: Load) -> None:
    text = GOOD.replace("[DEFAULT]", "[DEFAULT]\ntransport_url = rabbit://u:p@broker:5672/")
    text += "[conductor]\nname = c1\n"
    assert config.conductor_name(load(text, "migrator-conductor")) == "c1"
    assert config.conductor_name(load(text, "migrator-conductor", "--name", "c2")) == "c2"


BAD = {
    "misspelt_option": (
        GOOD.replace("control_address", "control_adress", 1),
        r"\[host:h1\] control_adress is not an option; did you mean control_address\?",
    ),
    "misspelt_section": (GOOD + "[conductr]\n", r"\[conductr\] is not a section; did you mean"),
    "unknown_default": (GOOD.replace("state_path", "state_pth"), "did you mean state_path"),
    "given_twice": (
        GOOD.replace("hosts = h1, h2", "hosts = h1\nhosts = h2"),
        "hosts is given 2 times",
    ),
    "listed_twice": (GOOD.replace("h1, h2", "h1, h2, h1"), "lists 'h1' 2 times"),
    "not_listed": (GOOD.replace("h1, h2", "h1"), "describes host 'h2', which .* does not list"),
    "not_described": (GOOD.replace("h1, h2", "h1, h2, h3"), r"\[host:h3\] libvirt_uri is missing"),
    "no_hosts": ("", r"\[fleet\] hosts is empty"),
    "required_missing": (
        GOOD.replace("control_address = 10.0.0.2\n", ""),
        r"\[host:h2\] control_address is missing",
    ),
    "same_peer": (
        GOOD.replace("peer_uri = qemu+tls://h2", "peer_uri = qemu+tls://h1"),
        "same as",
    ),
    "same_libvirt": (
        GOOD.replace("libvirt_uri = qemu+tls://h2", "libvirt_uri = qemu+tls://h1"),
        "same",
    ),
    "encryption": (GOOD.replace("[DEFAULT]", "[DEFAULT]\nmigration_encryption = on"), "on"),
    "number": (GOOD + "[conductor]\nmax_outgoing = many\n", "max_outgoing"),
    "too_small": (GOOD + "[conductor]\nmax_outgoing = 0\n", "max_outgoing"),
    "link": (GOOD + "[conductor]\nlink_bandwidths = h1:fast\n", "link_bandwidths"),
    "heartbeat": (GOOD + "[agent]\nheartbeat_s = 14\n", "at least twice"),
    "any_address": (GOOD.replace("= 10.1.0.2", "= 0.0.0.0"), "means every address"),
    "shell": (GOOD.replace("= 10.1.0.2", "= 10.1.0.2;reboot"), "neither an IP address nor"),
    "host_name": (GOOD.replace("h1, h2", "h1, h2/../x"), "not a host name"),
    "uri": (GOOD.replace("libvirt_uri = qemu+tls://h1.example", "libvirt_uri = xen://h1"), "QEMU"),
    "api": (GOOD + "[api]\nlisten = http://0.0.0.0:80\n", "other machines could reach it"),
    "broken_line": (GOOD + "what is this\n", "at .*migrator.conf"),
    "no_section": ("x = 1\n" + GOOD, "Section must be started"),
    "not_a_number": (GOOD + "[conductor]\nlease_s = nan\n", r"\[conductor\] lease_s: nan is no"),
    "out_of_range": (GOOD + "[agent]\nheartbeat_s = 0\n", r"\[agent\] heartbeat_s: Should be"),
    "huge": (GOOD + f"[conductor]\nmax_migrations = {10**20}\n", "max_migrations"),
    "flag": (GOOD.replace("[DEFAULT]", "[DEFAULT]\ndebug = perhaps"), "Invalid Boolean value"),
    "dollar": (GOOD.replace("/m.sqlite", "/$m.sqlite"), r"connection: .* is written '\$\$'"),
    "relative_path": (GOOD.replace("= /var/lib/migrator\n", "= here\n"), "absolute path"),
    "postgresql": (
        GOOD.replace("sqlite:////var/lib/migrator/m.sqlite", "postgresql://x/y"),
        "SQLite",
    ),
    "broker": (
        GOOD.replace("[DEFAULT]", "[DEFAULT]\ntransport_url = rabbit://u:p@b:5672/"),
        "uses no broker",
    ),
}


LIMITS = """
[host:h1]
reserved_cpus = 0,8
dedicated_cpus = 2-7,^5
shared_cpus = 9-11
reserved_memory_mib = 2048
reserved_pages = 0:2M:64, 1:1G:2
cpu_overcommit = 4
passthrough = 8086:154c=red, 0000:3b:*, 10de:*
"""


def test_an_agent_gets_what_is_configured_for_its_hosts_parts(load: Load) -> None:
    text = GOOD.replace("[host:h1]", LIMITS)
    limits = config.agent_settings(load(text), "h1").limits
    assert limits.dedicated_cpus == (2, 3, 4, 6, 7)
    assert limits.reserved_pages == ((0, 2048, 64), (1, 1048576, 2))
    assert (limits.cpu_overcommit, limits.memory_overcommit) == (4.0, None)
    assert limits.devices == (
        DevicePattern(vendor="8086", product="154c", network="red"),
        DevicePattern(address="0000:3b:*"),
        DevicePattern(vendor="10de"),
    )
    assert config.agent_settings(load(GOOD), "h1").limits == HostLimits()


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("dedicated_cpus = 1-x", "'1-x' is no CPU and no range"),
        ("dedicated_cpus = 4-2", "'4-2' is no range of CPUs"),
        ("shared_cpus =", "lists no CPU"),
        ("dedicated_cpus = 1-3\nshared_cpus = 3-5", "CPU 3 is in both dedicated_cpus and shared"),
        ("reserved_cpus = 1\nshared_cpus = 0-3", "CPU 1 is in both reserved_cpus and shared_cpus"),
        ("reserved_pages = 2M:64", "write CELL:SIZE:PAGES"),
        ("reserved_pages = 0:2M:64,0:2M:1", "names a cell and size twice"),
        ("passthrough = eth0", "write VENDOR:PRODUCT or ADDRESS"),
        ("memory_overcommit = 0", "memory_overcommit"),
    ],
)
def test_parts_that_cannot_be_are_refused(load: Load, line: str, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence) as caught:
        load(GOOD.replace("[host:h1]", f"[host:h1]\n{line}"))
    assert caught.value.code == "config.invalid"


@pytest.mark.parametrize(("text", "sentence"), BAD.values(), ids=BAD)
def test_a_configuration_that_cannot_be_meant_is_refused(
    load: Load, text: str, sentence: str
) -> None:
    with pytest.raises(Refused, match=sentence) as caught:
        load(text)
    assert caught.value.code == "config.invalid"


@pytest.mark.parametrize(
    "command", ["migrator-conductor", "migrator-agent --host h1", "migrator-api"]
)
def test_separate_daemons_without_a_broker_are_refused(load: Load, command: str) -> None:
    prog, *arguments = command.split()
    with pytest.raises(Refused, match="needs a message broker"):
        load(GOOD, prog, *arguments)


@pytest.mark.parametrize("url", ["kafka://h", "fake://", "amqp://u:hidden@h", "nonsense"])
def test_brokers_nobody_tried_are_refused(load: Load, url: str) -> None:
    text = GOOD.replace("[DEFAULT]", f"[DEFAULT]\ntransport_url = {url}")
    with pytest.raises(Refused, match="write rabbit://") as caught:
        load(text, "migrator-conductor")
    assert "hidden" not in str(caught.value)


def test_a_state_path_nobody_can_write_to_is_refused(load: Load, tmp_path: Path) -> None:
    text = GOOD.replace("[DEFAULT]", "[DEFAULT]\ntransport_url = rabbit://u:p@b:5672/")
    missing = tmp_path / "missing"
    text = text.replace("state_path = /var/lib/migrator", f"state_path = {missing}")
    with pytest.raises(Refused, match=f"mkdir -p {missing}"):
        load(text, "migrator-conductor")


def test_words_on_the_command_line_that_mean_nothing_are_refused(load: Load) -> None:
    with pytest.raises(Refused, match="unrecognized arguments: --frobnicate"):
        load(GOOD, "migrator-standalone", "--frobnicate")


def test_a_library_s_wording_is_not_shown(load: Load) -> None:
    with pytest.raises(Refused) as caught:
        load(GOOD.replace("h1, h2", "h1, h2/../x"))
    assert "LocationInfo" not in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.conf").write_bytes(b"\xff\xfe\0")
    with pytest.raises(Refused, match="not UTF-8 text"):
        config.load(["--config-file", str(tmp_path / "m.conf")], "migrator-standalone")


def test_a_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="nowhere"):
        config.load(["--config-file", str(tmp_path / "nowhere.conf")], "migrator-standalone")


def test_a_password_is_not_repeated_in_a_refusal(load: Load) -> None:
    text = GOOD.replace("[DEFAULT]", "[DEFAULT]\ntransport_url = rabbit://u:hidden@b:5672/")
    with pytest.raises(Refused) as caught:
        load(text)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "qemu:///system",
        "qemu+tcp://10.0.0.1/system",
        "qemu+tls://[fd00::1]:16514/system",
        "qemu+ssh://root@h1/system?no_tty=1",
        "qemu+unix:///system?socket=/run/h1/libvirt-sock",
    ],
)
def test_libvirt_uris_of_the_qemu_driver_are_taken(uri: str) -> None:
    assert addresses.libvirt_uri(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "h1",
        "qemu+ext:///system?command=/bin/sh",
        "qemu+ssh://-oProxyCommand=reboot/system",
        "qemu+ssh://-x@h1/system",
        "qemu+tls://h1/system;reboot",
        "qemu+tls://h1/$(reboot)",
        "qemu+tls://h1/system\nlisten = x",
        "qemu+tls://user:secret@h1/system",
        "qemu+tls://h1:99999/system",
        "qemu+tls://h1/",
        "test:///default",
    ],
)
def test_uris_that_could_mean_something_else_are_not(uri: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        addresses.libvirt_uri(uri)


def test_a_peer_uri_without_a_host_would_lead_back_to_whoever_opens_it() -> None:
    with pytest.raises(ValueError, match="names no host"):
        addresses.peer_uri("qemu:///system")


@pytest.mark.parametrize("text", ["", "a b", "-h1", "h1-", "H1", "h\x001", "h1/x", "a" * 64, "é"])
def test_what_is_no_host_name_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(ValueError, match="not a host name"):
        addresses.host_name(text)


@pytest.mark.parametrize(
    "text", ["", "::", "0.0.0.0", "224.0.0.1", "ff02::1", "fe80::1%eth0", "10.0.0.256", "10.0.0"]
)
def test_what_is_not_one_machine_s_address_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        addresses.address(text)


def test_the_sample_is_what_the_options_say(tmp_path: Path) -> None:
    fresh = tmp_path / "sample"
    generator = Path(sys.executable).with_name("oslo-config-generator")
    rules = TOP / "etc/migrator/config-generator.conf"
    command = [generator, "--config-file", rules, "--output-file", fresh]
    subprocess.run(command, check=True, capture_output=True, cwd=TOP)
    current = (TOP / "etc/migrator/migrator.conf.sample").read_text()
    assert fresh.read_text() == current, "run: tox -e genconfig"


def test_the_example_is_accepted() -> None:
    example = TOP / "etc/migrator/migrator.conf.example"
    conf = config.load(["--config-file", str(example)], "migrator-standalone")
    assert len(config.hosts(conf)) == 3

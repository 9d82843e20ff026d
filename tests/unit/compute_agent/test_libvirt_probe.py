"""What a probe that travels between two hosts looks like."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from migrator.compute_agent.libvirt_probe import HostLook, probe_definition
from migrator.errors import Refused

PROBE_ID = "0c0f4a52-5a7e-4dd6-8a6a-8a2d3cf6b0c1"


def host(*machines: str, virt_type: str = "kvm") -> HostLook:
    listed = "".join(f"<machine>{name}</machine>" for name in machines)
    capabilities = (
        "<capabilities><host><cpu><arch>x86_64</arch></cpu></host><guest>"
        f"<arch name='x86_64'>{listed}<domain type='{virt_type}'/></arch></guest></capabilities>"
    )
    return HostLook(9_000_000, 7_002_000, capabilities, ())


def test_it_uses_a_versioned_machine_type_that_both_hosts_know() -> None:
    newer = host("q35", "none", "xenpv", "pc-q35-7.2", "pc-q35-8.0")
    older = host("q35", "none", "xenpv", "pc-q35-6.0", "pc-q35-7.2")
    definition = ElementTree.fromstring(probe_definition(PROBE_ID, newer, older))
    machine = definition.find("os/type")
    assert machine is not None
    assert machine.get("machine") == "pc-q35-7.2"
    assert definition.get("type") == "kvm"
    assert definition.findtext("uuid") == PROBE_ID
    assert str(definition.findtext("name")).startswith("migrator-probe-")
    assert definition.find("devices") is None


@pytest.mark.parametrize(
    "other", [host("pc-q35-8.0"), host("pc-q35-7.2", virt_type="qemu"), host()]
)
def test_hosts_without_a_common_machine_type_are_refused(other: HostLook) -> None:
    with pytest.raises(Refused) as caught:
        probe_definition(PROBE_ID, host("pc-q35-7.2"), other)
    assert caught.value.code == "machine.unsupported"

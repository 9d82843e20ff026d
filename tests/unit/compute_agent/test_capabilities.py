"""Reading what libvirt says a host's hypervisor offers."""

from __future__ import annotations

import pytest

from migrator.compute_agent.capabilities import (
    HostCapabilities,
    feature_policies,
    host_capabilities,
    host_model_cpu,
    lacking_features,
    machine_types,
    names_a_model,
)

CAPABILITIES = """<capabilities>
  <host>
    <uuid>5c46a599-6be3-4fe1-ad28-5ff8b1f7b117</uuid>
    <cpu><arch>x86_64</arch><model>kvm64</model></cpu>
  </host>
  <guest>
    <os_type>hvm</os_type>
    <arch name='i686'>
      <emulator>/usr/bin/qemu-system-i386</emulator>
      <machine maxCpus='255'>pc-i440fx-7.2</machine>
      <domain type='qemu'/>
    </arch>
  </guest>
  <guest>
    <os_type>hvm</os_type>
    <arch name='x86_64'>
      <emulator>/usr/bin/qemu-system-x86_64</emulator>
      <machine maxCpus='255'>pc-i440fx-7.2</machine>
      <machine canonical='pc-i440fx-7.2' maxCpus='255'>pc</machine>
      <machine maxCpus='288'>pc-q35-7.2</machine>
      <machine canonical='pc-q35-7.2' maxCpus='288'>q35</machine>
      <domain type='qemu'/>
      <domain type='kvm'>
        <machine maxCpus='288'>pc-q35-8.0</machine>
      </domain>
    </arch>
  </guest>
</capabilities>"""

DOMAIN_CAPABILITIES = """<domainCapabilities>
  <cpu>
    <mode name='host-passthrough' supported='no'/>
    <mode name='host-model' supported='yes'>
      <model fallback='forbid'>EPYC</model>
      <vendor>AMD</vendor>
      <feature policy='require' name='acpi'/>
      <feature policy='disable' name='vme'/>
    </mode>
    <mode name='custom' supported='yes'><model usable='yes'>qemu64</model></mode>
  </cpu>
</domainCapabilities>"""


def cpu(**features: str) -> str:
    inside = "".join(
        f"<feature policy='{policy}' name='{name}'/>" for name, policy in features.items()
    )
    return f"<cpu mode='custom' match='exact'><model>qemu64</model>{inside}</cpu>"


def test_the_host_is_known_by_its_uuid_and_architecture() -> None:
    assert host_capabilities(CAPABILITIES) == HostCapabilities(
        "5c46a599-6be3-4fe1-ad28-5ff8b1f7b117", "x86_64"
    )


def test_machine_types_are_aliases_and_what_they_stand_for() -> None:
    assert machine_types(CAPABILITIES, "x86_64", "qemu") == (
        "pc",
        "pc-i440fx-7.2",
        "pc-q35-7.2",
        "q35",
    )


def test_a_virtualisation_type_with_machines_of_its_own_has_only_those() -> None:
    assert machine_types(CAPABILITIES, "x86_64", "kvm") == ("pc-q35-8.0",)


@pytest.mark.parametrize(("arch", "virt_type"), [("aarch64", "qemu"), ("i686", "kvm")])
def test_what_the_host_cannot_run_has_no_machine_types(arch: str, virt_type: str) -> None:
    assert machine_types(CAPABILITIES, arch, virt_type) == ()


def test_the_host_model_becomes_a_cpu_libvirt_takes() -> None:
    made = host_model_cpu(DOMAIN_CAPABILITIES)
    assert made is not None
    assert names_a_model(made)
    assert feature_policies(made) == {"acpi": "require", "vme": "disable"}


def test_a_hypervisor_without_host_model_has_none() -> None:
    assert host_model_cpu("<domainCapabilities><cpu/></domainCapabilities>") is None
    unsupported = DOMAIN_CAPABILITIES.replace(
        "'host-model' supported='yes'", "'host-model' supported='no'"
    )
    assert host_model_cpu(unsupported) is None


def test_a_cpu_passed_through_names_no_model() -> None:
    assert not names_a_model("<cpu mode='host-passthrough' migratable='on'/>")
    assert not names_a_model("<cpu><model fallback='allow'/></cpu>")
    assert names_a_model(cpu())


def test_a_feature_without_policy_is_required() -> None:
    assert feature_policies("<cpu><feature name='aes'/></cpu>") == {"aes": "require"}


@pytest.mark.parametrize(
    ("why", "guest", "expanded", "missing"),
    [
        ("asked for and not offered", cpu(sgx="require"), cpu(sgx="require", fpu="require"), "sgx"),
        (
            "in the model, switched off by the host",
            cpu(),
            cpu(avx2="disable", fpu="require"),
            "avx2",
        ),
        ("switched off by the guest", cpu(svm="disable"), cpu(svm="disable", fpu="require"), ""),
        ("all there", cpu(fpu="require"), cpu(fpu="require"), ""),
    ],
)
def test_lacking_features(why: str, guest: str, expanded: str, missing: str) -> None:
    host = cpu(fpu="require", avx2="disable")
    assert " ".join(lacking_features(guest, expanded, host)) == missing, why

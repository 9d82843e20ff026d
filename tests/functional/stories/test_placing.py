"""Guests with CPUs of their own: where they may go, and what they are claimed."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from migrator.errors import Refused
from migrator.messages import Migrate
from migrator.model import Wishes
from migrator.rpc import Bus
from tests.fakes.hypervisor_host import one_cell
from tests.functional.stories.fleet import ServiceUnderTest

PINNED = """<domain type='qemu'>
  <name>{name}</name>
  <uuid>{id}</uuid>
  <memory unit='KiB'>262144</memory>
  <vcpu placement='static'>1</vcpu>
  <cputune><vcpupin vcpu='0' cpuset='{cpu}'/></cputune>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  <devices><emulator>/usr/bin/qemu-system-x86_64</emulator></devices>
</domain>"""


@pytest.fixture
def narrow(tmp_path: Path, bus: Bus) -> ServiceUnderTest:
    """Two hosts of two CPUs each, not started yet."""
    service = ServiceUnderTest(tmp_path, bus)
    for host in service.fleet.hosts.values():
        host.parts = one_cell(2, 16_384)
    return service


def pinned(service: ServiceUnderTest, host: str, name: str, cpu: int) -> str:
    """A guest whose only vCPU runs on that CPU."""
    instance_id = str(uuid.uuid4())
    xml = PINNED.format(name=name, id=instance_id, cpu=cpu)
    return service.add_guest(host, name, id=instance_id, xml=xml)


def own_cpus(service: ServiceUnderTest) -> Sequence[tuple[str, str, tuple[int, ...]]]:
    claims = service.conductor.context.stores.claims.list()
    return [
        (claim.host, claim.instance_name, claim.placement.own_cpus)
        for claim in claims
        if claim.placement is not None
    ]


def test_a_pinned_guest_is_offered_a_cpu_that_nobody_has(narrow: ServiceUnderTest) -> None:
    with narrow as service:
        pinned(service, "h2", "there", 0)
        pinned(service, "h1", "web1", 0)
        service.until(lambda: ("h2", "there", (0,)) in own_cpus(service))
        verdict = service.client.dry_run(Migrate(instance="web1", host="h2"))
        (host,) = verdict.hosts
        assert (host.fits, host.pins, host.devices) == (True, {"0": 1}, [])


def test_a_host_whose_cpus_all_have_owners_refuses_a_pinned_guest_also_by_force(
    narrow: ServiceUnderTest,
) -> None:
    with narrow as service:
        for cpu in (0, 1):
            pinned(service, "h2", f"there{cpu}", cpu)
        pinned(service, "h1", "web1", 0)
        service.until(lambda: len(own_cpus(service)) == 3)
        for force in (False, True):
            asked = Migrate(
                instance="web1", host="h2", force=force, reason="must" if force else None
            )
            with pytest.raises(Refused) as refused:
                service.client.migrate(asked)
            assert refused.value.code == "cpus.insufficient"
            assert "h2: " in refused.value.message


def test_guests_that_stay_apart_are_kept_apart_unless_forced(service: ServiceUnderTest) -> None:
    for host, name in (("h1", "web1"), ("h2", "web2")):
        instance_id = service.add_guest(host, name)
        service.conductor.context.stores.instances.set_wishes(
            instance_id, Wishes(anti_affinity=("web",))
        )
    for host in (None, "h2"):
        with pytest.raises(Refused, match="another guest of anti-affinity group web"):
            service.migrate("web1", host=host)
    ended = service.wait(service.migrate("web1", host="h2", force=True, reason="fire").id)
    assert ended.state == "completed"
    migration = service.conductor.context.stores.migrations.get(ended.id)
    assert migration.forced_policies == ("anti_affinity",)

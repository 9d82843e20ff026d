"""What the hosts of a run have before anything happens: pools, volumes, devices, and what guests are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migrator.model import DeviceKind, PciDevice
from tests.fakes.hypervisor import FakeDisk, FakeGuest
from tests.fakes.hypervisor_pools import FakePool, FakeStorage, FakeVolume
from tests.simulation.plan import GuestPlan
from tests.simulation.scheduler import SimConcurrency

if TYPE_CHECKING:
    from tests.simulation.world import World

CPUS = 2
"""Of a host in runs about parts: one for each guest."""
_DEVICE = """
    <interface type='hostdev' managed='yes'>
      <mac address='52:54:00:00:00:0{number}'/>
      <source><address type='pci' domain='0x0000' bus='0x01' slot='0x00' function='0x{number}'/></source>
      <teaming type='transient' persistent='ua-net0'/>
      <address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0'/>
    </interface>"""


def furnish(world: World) -> None:
    """Hosts, one pool they share and one that each has for itself, the guests' volumes."""
    plan, fleet = world.plan, world.fleet
    for number in range(1, plan.hosts + 1):
        host = fleet.add_host(f"h{number}")
        if plan.family == "parts":
            host.have(CPUS, [_function(1), _function(2)])
        host.pools.add(FakePool("local", FakeStorage(), "dir", "/local"))
    shared = [volume(number) for number, guest in enumerate(plan.guests, 1) if not guest.local]
    fleet.share_pool("shared", list(fleet.hosts), volumes=shared)
    mine = fleet.hosts["h1"].pools["local"]
    for number, guest in enumerate(plan.guests, 1):
        if guest.local and guest.disk:
            mine.storage.volumes[volume(number)] = FakeVolume(content(number), allocated=4096)
    mine.known.update(mine.storage.volumes)


def volume(number: int) -> str:
    """The disk of the guest of that number."""
    return f"g{number}-vda"


def content(number: int) -> bytes:
    """What is in it."""
    return f"what guest {number} has written".encode()


def made(world: World, number: int, wanted: GuestPlan) -> FakeGuest:
    """As the plan wants it."""
    pool = "local" if wanted.local else "shared"
    pinned = "" if wanted.pin is None else f"<vcpupin vcpu='0' cpuset='{wanted.pin}'/>"
    return FakeGuest(
        f"g{number}",
        SimConcurrency(world.scheduler, world.operator).fresh_id(),
        persistent=wanted.persistent,
        autostart=wanted.autostart,
        running=wanted.running,
        disks=(FakeDisk(pool, volume(number)),) if wanted.disk else (),
        cputune=pinned,
        devices=_DEVICE.format(number=number) if wanted.device else "",
    )


def _function(number: int) -> PciDevice:
    return PciDevice(f"0000:01:00.{number}", "8086", "1520", DeviceKind.VF, "0000:01:00.0")

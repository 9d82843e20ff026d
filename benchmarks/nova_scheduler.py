"""nova's scheduler over the same fleet, for benchmarks/scheduler.py; imported where nova is there.

Its default filters, those for NUMA cells and PCI devices, its default weighers, and what it takes from
the chosen host's state: all in memory. What nova does besides for each request (Placement, SQL, RPC) is
left out. Its states of hosts are made from its own records anew for each request, as its host manager
does it; filtering and weighing are told apart from that.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from benchmarks.nova_start import start

start()

import nova.conf  # noqa: E402
from nova import objects  # noqa: E402
from nova.objects import pci_device_pool  # noqa: E402
from nova.scheduler import filters, host_manager, weights  # noqa: E402

from benchmarks.fleets import CELLS, MEMORY_MIB  # noqa: E402
from benchmarks.nova_fit import (  # noqa: E402
    device_pools,
    device_request,
    guest_cells,
    host_cells,
)
from migrator.model import HostTopology, HostUse, ResourceRequest  # noqa: E402

CONF = nova.conf.CONF
FOR_PARTS = ["NUMATopologyFilter", "PciPassthroughFilter"]
CPUS = 128
DISK_GB = 10_000


class NovaScheduler:
    """One fleet of nova's compute nodes."""

    def __init__(self, topology: HostTopology, uses: Mapping[str, HostUse]) -> None:
        self._nodes = [_compute_node(name, topology, use) for name, use in uses.items()]
        self._filters, self._weighers = _chosen_filters(), _chosen_weighers()

    def states(self) -> list[Any]:
        """What its host manager makes of its records, for one request."""
        states = []
        for node in self._nodes:
            state = host_manager.HostState(node.host, node.host, uuid.uuid4())
            state.update(compute=node, service=self._service, aggregates=[], inst_dict={})
            state.allocation_candidates = [{"mappings": {}}]
            states.append(state)
        return states

    def decide(self, states: list[Any], request: ResourceRequest) -> int:
        """How many hosts fit; the best one's state has lost what the guest takes."""
        spec = _request_spec(request)
        there = filters.HostFilterHandler()
        fitting = there.get_filtered_objects(self._filters, states, spec) or []
        if not fitting:
            return 0
        weighed = weights.HostWeightHandler().get_weighed_objects(self._weighers, fitting, spec)
        weighed[0].obj.consume_from_request(spec)
        return len(fitting)

    @cached_property
    def _service(self) -> Any:
        now = datetime.now(UTC)
        return objects.Service(
            host="h", topic="compute", disabled=False, forced_down=False,
            created_at=now, updated_at=now, last_seen_up=now, report_count=1,
        )  # fmt: skip


def _chosen_filters() -> list[Any]:
    names = [*CONF.filter_scheduler.enabled_filters, *FOR_PARTS]
    classes = {each.__name__: each for each in filters.all_filters()}
    return [classes[name]() for name in names]


def _chosen_weighers() -> list[Any]:
    handler = weights.HostWeightHandler()
    classes = handler.get_matching_classes(CONF.filter_scheduler.weight_classes)
    return [each() for each in classes]


def _compute_node(name: str, topology: HostTopology, use: HostUse) -> Any:
    pools = [
        {key: value for key, value in pool.items() if key != "devices"}
        for pool in device_pools(topology, use)
    ]
    listed = [pci_device_pool.PciDevicePool.from_dict(_without_none(pool)) for pool in pools]
    now = datetime.now(UTC)
    return objects.ComputeNode(
        id=1, uuid=str(uuid.uuid4()), host=name, hypervisor_hostname=name, service_id=1,
        vcpus=CPUS, vcpus_used=len(use.cpus), memory_mb=CELLS * MEMORY_MIB, memory_mb_used=0,
        free_ram_mb=CELLS * MEMORY_MIB - use.memory_mib, local_gb=DISK_GB, local_gb_used=0,
        free_disk_gb=DISK_GB, disk_available_least=DISK_GB, hypervisor_type="QEMU",
        hypervisor_version=8_002_002, cpu_info="{}", metrics="[]", stats={}, host_ip="192.0.2.1",
        running_vms=1, current_workload=0, mapped=1, cpu_allocation_ratio=16.0,
        ram_allocation_ratio=1.0, disk_allocation_ratio=1.0, supported_hv_specs=[],
        numa_topology=host_cells(topology, use)._to_json(),
        pci_device_pools=pci_device_pool.PciDevicePoolList(objects=listed),
        created_at=now, updated_at=now, deleted=False, deleted_at=None,
    )  # fmt: skip


def _without_none(pool: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in pool.items() if value is not None}


def _request_spec(request: ResourceRequest) -> Any:
    flavor = objects.Flavor(
        id=1, flavorid="1", name="f", vcpus=request.vcpus, memory_mb=request.memory_mib, root_gb=0,
        ephemeral_gb=0, swap=0, extra_specs={}, is_public=True, disabled=False,
    )  # fmt: skip
    wanted = [device_request(one) for one in request.pci]
    return objects.RequestSpec(
        flavor=flavor,
        image=objects.ImageMeta(properties=objects.ImageMetaProps()),
        numa_topology=guest_cells(request),
        pci_requests=objects.InstancePCIRequests(requests=wanted),
        instance_uuid=str(uuid.uuid4()),
        project_id="p", num_instances=1, instance_group=None, availability_zone=None,
        ignore_hosts=None, force_hosts=None, force_nodes=None, retry=None, limits=None,
        scheduler_hints={}, requested_destination=None, requested_resources=[],
        is_bfv=False,
    )  # fmt: skip

"""Which layer each module is in, and which packages may know each other: the tables the import rules
are checked by.

    L4 entry     wiring and what a person starts
    L3 drive     order, loops, retries; waits only through ports
    L2 adapters  translate the outside to the model   |   L1 policy  pure; beside L2, never touching it
    L0 words     errors, states, model, messages, and the ports and settings made of them
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from tests.arch.source import within


class Layer(enum.IntEnum):
    """Higher may import lower; L1 and L2 may not import each other."""

    WORDS = 0
    POLICY = 1
    ADAPTERS = 2
    DRIVE = 3
    ENTRY = 4


LAYERS: Mapping[str, Layer] = {
    # -- L0
    "migrator.errors": Layer.WORDS,
    "migrator.first_use": Layer.WORDS,
    "migrator.states": Layer.WORDS,
    "migrator.model": Layer.WORDS,
    "migrator.messages": Layer.WORDS,
    "migrator.ports": Layer.WORDS,
    "migrator.about": Layer.WORDS,
    "migrator.addresses": Layer.WORDS,
    "migrator.cpu_lists": Layer.WORDS,
    "migrator.device_address": Layer.WORDS,
    "migrator.compute_agent.attempt_mark": Layer.WORDS,
    "migrator.compute_agent.offline_ports": Layer.WORDS,
    "migrator.compute_agent.ports": Layer.WORDS,
    "migrator.compute_agent.settings": Layer.WORDS,
    "migrator.conductor.ports": Layer.WORDS,
    "migrator.conductor.settings": Layer.WORDS,
    "migrator.api.settings": Layer.WORDS,
    "migrator.storage.ports": Layer.WORDS,
    # -- L1
    "migrator.compute_agent.domain_facts": Layer.POLICY,
    "migrator.compute_agent.encryption": Layer.POLICY,
    "migrator.compute_agent.host_limits": Layer.POLICY,
    "migrator.compute_agent.fencing": Layer.POLICY,
    "migrator.compute_agent.monitor.actions": Layer.POLICY,
    "migrator.compute_agent.monitor.asks": Layer.POLICY,
    "migrator.compute_agent.plugged": Layer.POLICY,
    "migrator.compute_agent.staleness": Layer.POLICY,
    "migrator.compute_agent.monitor.decide": Layer.POLICY,
    "migrator.compute_agent.monitor.judging": Layer.POLICY,
    "migrator.compute_agent.monitor.known": Layer.POLICY,
    "migrator.compute_agent.monitor.mirror": Layer.POLICY,
    "migrator.compute_agent.monitor.patience": Layer.POLICY,
    "migrator.compute_agent.monitor.phases": Layer.POLICY,
    "migrator.compute_agent.monitor.predict": Layer.POLICY,
    "migrator.compute_agent.monitor.restarting": Layer.POLICY,
    "migrator.compute_agent.monitor.watchdog": Layer.POLICY,
    "migrator.compute_agent.monitor.ways": Layer.POLICY,
    "migrator.conductor.admission": Layer.POLICY,
    "migrator.conductor.adoption": Layer.POLICY,
    "migrator.conductor.claim_audit": Layer.POLICY,
    "migrator.conductor.domain_xml": Layer.POLICY,
    "migrator.conductor.invariants": Layer.POLICY,
    "migrator.conductor.landing": Layer.POLICY,
    "migrator.conductor.outcome": Layer.POLICY,
    "migrator.conductor.profiles": Layer.POLICY,
    "migrator.conductor.eligibility": Layer.POLICY,
    "migrator.conductor.forecast": Layer.POLICY,
    "migrator.conductor.hanging": Layer.POLICY,
    "migrator.conductor.sending_plan": Layer.POLICY,
    "migrator.conductor.queue": Layer.POLICY,
    "migrator.conductor.recovery": Layer.POLICY,
    "migrator.conductor.tally": Layer.POLICY,
    "migrator.conductor.transfer_plan": Layer.POLICY,
    "migrator.conductor.host_parts": Layer.POLICY,
    "migrator.conductor.views": Layer.POLICY,
    "migrator.conductor.wishes": Layer.POLICY,
    "migrator.scheduler": Layer.POLICY,
    "migrator.storage": Layer.POLICY,
    # -- L2
    "migrator.compute_agent.capabilities": Layer.ADAPTERS,
    "migrator.compute_agent.disk_xml": Layer.ADAPTERS,
    "migrator.compute_agent.host_topology": Layer.ADAPTERS,
    "migrator.compute_agent.held": Layer.ADAPTERS,
    "migrator.compute_agent.kernel_look": Layer.ADAPTERS,
    "migrator.compute_agent.requested": Layer.ADAPTERS,
    "migrator.compute_agent.libvirt_*": Layer.ADAPTERS,
    "migrator.compute_agent.rpcapi": Layer.ADAPTERS,
    "migrator.conductor.steering": Layer.POLICY,
    "migrator.conductor.rpcapi": Layer.ADAPTERS,
    "migrator.config": Layer.ADAPTERS,
    "migrator.db": Layer.ADAPTERS,
    "migrator.inproc_driver": Layer.ADAPTERS,
    "migrator.rpc": Layer.ADAPTERS,
    "migrator.storage.backends": Layer.ADAPTERS,
    "migrator.storage.content": Layer.ADAPTERS,
    "migrator.storage.libvirt_*": Layer.ADAPTERS,
    "migrator.threads": Layer.ADAPTERS,
    "migrator.version": Layer.ADAPTERS,
    # -- L3
    "migrator.compute_agent": Layer.DRIVE,
    "migrator.conductor": Layer.DRIVE,
    "migrator.scheduler.service": Layer.DRIVE,
    # -- L4
    "migrator.api": Layer.ENTRY,
    "migrator.cli": Layer.ENTRY,
    "migrator.compute_agent.daemon": Layer.ENTRY,
    "migrator.conductor.daemon": Layer.ENTRY,
    "migrator.manage": Layer.ENTRY,
    "migrator.service": Layer.ENTRY,
    "migrator.standalone": Layer.ENTRY,
    "migrator.status": Layer.ENTRY,
    "migrator.verify": Layer.ENTRY,
}
"""The longest fitting row counts. A new module in a package of the table needs a row only where its
layer differs from the package's; a new top-level module always does."""

NEIGHBOURS: Mapping[str, tuple[str, ...]] = {
    "migrator.api": ("migrator.conductor.rpcapi",),
    "migrator.cli": (),
    "migrator.compute_agent": ("migrator.storage", "migrator.conductor.rpcapi"),
    "migrator.conductor": (
        "migrator.compute_agent.rpcapi",
        "migrator.compute_agent.attempt_mark",
        "migrator.scheduler",
        "migrator.storage.bases",
        "migrator.storage.content",
        "migrator.storage.destination",
        "migrator.storage.moves",
        "migrator.storage.plan",
        "migrator.storage.records",
        "migrator.storage.ranges",
        "migrator.storage.room",
        "migrator.storage.tell",
    ),
    "migrator.config": ("*.settings", "migrator.rpc"),
    "migrator.db": ("migrator.conductor.ports",),
    "migrator.rpc": (),
    "migrator.scheduler": (
        "migrator.storage.destination",
        "migrator.storage.plan",
    ),
    "migrator.storage": (),
}
"""package -> what it may know of other packages; modules at the top are open to all by layer. Agents
know neither the database nor the scheduler. Daemons and other entry modules wire anything together."""

LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "alembic": ("migrator.db",),
    "amqp": ("migrator.rpc",),
    "cheroot": ("migrator.api",),
    "cliff": ("migrator.cli",),
    "cotyledon": (
        "migrator.service",
        "migrator.conductor.daemon",
        "migrator.compute_agent.daemon",
        "migrator.api.daemon",
        "migrator.standalone",
    ),
    "eventlet": (),
    "falcon": ("migrator.api",),
    "httpx": ("migrator.cli", "migrator.status"),
    "kombu": ("migrator.rpc",),
    "libvirt": ("migrator.compute_agent.libvirt_*", "migrator.storage.libvirt_*"),
    "oslo_config": (
        "migrator.config",
        "migrator.service",
        "migrator.conductor.daemon",
        "migrator.compute_agent.daemon",
        "migrator.api.daemon",
        "migrator.manage",
        "migrator.standalone",
        "migrator.status",
    ),
    "oslo_messaging": ("migrator.rpc", "migrator.inproc_driver"),
    "oslo_utils": ("migrator.storage.headers",),
    "prometheus_client": ("migrator.api",),
    "rich": ("migrator.cli",),
    "sqlalchemy": ("migrator.db",),
    "taskflow": ("migrator.conductor.flow", "migrator.conductor.steps", "migrator.db"),
}
"""library -> the only places that may import it."""

WAITING = frozenset(
    {"asyncio", "concurrent", "multiprocessing", "queue", "random", "sched", "secrets", "select"}
    | {"selectors", "signal", "socket", "subprocess", "threading", "time"}
)
"""What waits, races or rolls dice: never below L2 and never in L3, which is given ports instead, so
that a seeded scheduler with a virtual clock can run it."""


def layer_of(module: str) -> Layer | None:
    """None for a module that no row covers."""
    rows = [prefix for prefix in LAYERS if within(module, prefix)]
    return LAYERS[max(rows, key=len)] if rows else None


def package_of(module: str) -> str | None:
    """The row of :data:`NEIGHBOURS` the module falls under; None for top-level modules and daemons."""
    if module.endswith(".daemon"):
        return None
    return next((package for package in NEIGHBOURS if within(module, package)), None)


def may_know(module: str, imported: str) -> bool:
    """Whether the packages of the two may know each other."""
    package = package_of(module)
    home = next((each for each in NEIGHBOURS if within(imported, each)), None)
    if package is None or home is None or home == package:
        return True
    allowed = NEIGHBOURS[package]
    if module.endswith(".rpcapi"):
        allowed = (*allowed, "migrator.rpc")
    return any(
        imported.endswith(row[1:]) if row.startswith("*") else within(imported, row)
        for row in allowed
    )


def may_import(module: str, imported: str) -> bool:
    """Whether the layers of the two allow it."""
    above, below = layer_of(module), layer_of(imported)
    if above is None or below is None:
        return True
    if {above, below} == {Layer.POLICY, Layer.ADAPTERS}:
        return False
    return above >= below

"""One transfer as libvirt is asked for it: migrateToURI3 with its parameters."""

from __future__ import annotations

from typing import Any

import libvirt
import msgspec

from migrator.compute_agent.libvirt_connections import open_link
from migrator.compute_agent.libvirt_domains import find
from migrator.compute_agent.libvirt_errors import transfer_failure
from migrator.errors import Broken, Refused, Transient
from migrator.messages import TransferPlan
from migrator.model import Sending

MIB = 1024 * 1024


def transfer(uri: str, instance_id: str, plan: TransferPlan) -> None:
    """Run it on a connection of its own, in the calling thread, until libvirt's call returns.

    There is no deadline here: how long a transfer may take is for whoever watches it. A libvirtd that
    hangs is found by keepalive.

    :raises Refused: ``request.invalid`` for a flag this libvirt-python does not know,
        ``guest.not_active``.
    :raises Broken: ``transfer.failed``.
    :raises Transient: ``libvirt.unreachable``; libvirt may go on with the transfer.
    """
    flags = migrate_flags(plan.flags)
    parameters = migrate_parameters(plan)
    link = open_link(uri, "transfer")
    try:
        domain = find(link.conn, instance_id)
        if domain is None:
            raise Refused("guest.not_active", f"there is no domain {instance_id} on this host")
        domain.migrateToURI3(plan.peer_uri, parameters, flags)
    except libvirt.libvirtError as error:
        raise transfer_failure(error, link.alive) from error
    finally:
        link.close()


RESUME = ("postcopy", "postcopy_resume")
STILL_CALLED = (
    "actively monitored",
    "still running",
    "another migration job",
    "already in progress",
)
"""In libvirt's words: whoever started the transfer, or tried to resume it before, is still in its call,
or QEMU has not stopped yet."""


def resume_postcopy(uri: str, instance_id: str, plan: TransferPlan) -> None:
    """Go on with a broken post-copy; otherwise as :func:`transfer`.

    :raises Transient: ``guest.busy`` while libvirt has not given the first call up."""
    flags = sorted({*plan.flags, *RESUME})
    try:
        transfer(uri, instance_id, msgspec.structs.replace(plan, flags=flags))
    except Broken as refused:
        if any(words in refused.message for words in STILL_CALLED):
            raise Transient("guest.busy", refused.message) from refused
        raise


def migrate_flags(names: list[str]) -> int:
    """VIR_MIGRATE_* by their names in lower case."""
    flags = 0
    for name in names:
        value = getattr(libvirt, f"VIR_MIGRATE_{name.upper()}", None)
        if name != name.lower() or not isinstance(value, int):
            raise Refused(
                "request.invalid",
                f"{name!r} is not a migration flag this host's libvirt knows",
                flag=name,
            )
        flags |= value
    return flags


def _sending_parameters(sending: Sending) -> dict[str, Any]:
    """Of the flags parallel and compressed; libvirt refuses them without those."""
    cache = None if sending.cache_mib is None else sending.cache_mib * MIB
    return {
        libvirt.VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS: (
            sending.connections if sending.parallel else None
        ),
        libvirt.VIR_MIGRATE_PARAM_COMPRESSION: sending.compression,
        libvirt.VIR_MIGRATE_PARAM_COMPRESSION_XBZRLE_CACHE: cache,
    }


def migrate_parameters(plan: TransferPlan) -> dict[str, Any]:
    """The typed parameters; what the plan leaves out is left to libvirt."""
    optional = {
        libvirt.VIR_MIGRATE_PARAM_PERSIST_XML: plan.persistent_xml,
        libvirt.VIR_MIGRATE_PARAM_BANDWIDTH: plan.bandwidth_mib_s,
        libvirt.VIR_MIGRATE_PARAM_DISKS_URI: plan.disks_uri,
        libvirt.VIR_MIGRATE_PARAM_MIGRATE_DISKS: plan.migrate_disks or None,
        libvirt.VIR_MIGRATE_PARAM_TLS_DESTINATION: plan.tls_destination,
        **_sending_parameters(plan.sending),
    }
    return {
        libvirt.VIR_MIGRATE_PARAM_URI: plan.migrate_uri,
        libvirt.VIR_MIGRATE_PARAM_LISTEN_ADDRESS: plan.listen_address,
        libvirt.VIR_MIGRATE_PARAM_DEST_XML: plan.destination_xml,
        **{name: value for name, value in optional.items() if value is not None},
    }

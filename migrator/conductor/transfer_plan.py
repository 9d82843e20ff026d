"""How a transfer is started: flags that libvirt cannot change while it runs."""

from __future__ import annotations


def start_flags(persistent: bool, needs_unsafe: bool, encryption: str) -> list[str]:
    """libvirt's VIR_MIGRATE_* names in lower case, sorted.

    ``unsafe`` only when every writable disk is proven shared and written through: libvirt itself
    cannot tell a plain shared directory from two that merely have the same name.
    """
    flags = {"live", "peer2peer", "abort_on_error"}
    if persistent:
        flags |= {"persist_dest", "undefine_source"}
    if needs_unsafe:
        flags.add("unsafe")
    if encryption == "required":
        flags.add("tls")
    return sorted(flags)

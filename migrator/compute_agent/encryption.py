"""May this transfer travel as it would? The rule both ends and the start itself apply. Pure."""

from __future__ import annotations

from migrator.addresses import is_encrypted
from migrator.model import Refusal

REQUIRED = "required"
TLS_FLAG = "tls"
WAYS_OUT = (
    "Either give the host certificates of your CA and a peer_uri beginning with qemu+tls://, or set"
    " migration_encryption = off where nobody else can read or change the network."
)


def refuse_control(filter_name: str, peer_uri: str, wanted: tuple[str, ...]) -> Refusal | None:
    """The control connection between the two libvirt daemons.

    :param peer_uri: how the source's libvirt reaches the destination's.
    :param wanted: what the conductor and this agent are configured with; the stricter one counts.
    """
    if REQUIRED not in wanted or is_encrypted(peer_uri):
        return None
    return Refusal(
        filter_name,
        "tls.required",
        f"migrations must be encrypted, and {peer_uri} is not. {WAYS_OUT}",
        {"peer_uri": peer_uri},
    )


def refuse_stream(flags: list[str], encryption: str) -> Refusal | None:
    """The guest's memory, between the two QEMUs."""
    if encryption != REQUIRED or TLS_FLAG in flags:
        return None
    return Refusal(
        "encryption",
        "tls.required",
        "this host's agent requires encrypted migrations and was asked for one that is not; configure"
        f" conductor and agents alike. {WAYS_OUT}",
    )

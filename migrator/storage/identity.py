"""Whether two hosts' pools are the same storage. Pure; unknown is not shared.

Files: one agent writes its nonce into its pool, the other reads it through its own pool of that name. A
token alone would not do: it may have been copied with a host's image. Logical volumes: LVM gives each a
UUID when it is made, and both hosts see the same one. Where libvirt reads no bytes (rbd): one agent
makes a volume whose name holds its nonce, and the other sees it.
"""

from __future__ import annotations

import re

from migrator.messages import PoolIdentity
from migrator.model import PoolProof, Refusal

NOT_SHARED = "disk.not_shared"
LV_UUID = re.compile(r"\w{6}(-\w{4}){5}-\w{6}")
"""As LVM writes them."""


def same_storage(written: PoolIdentity, read: PoolIdentity | None) -> Refusal | None:
    """None when they are.

    :param written: what the agent that wrote says of its pool.
    :param read: what another host's pool of that name holds; None when it holds no such nonce.
    """
    if written.proof is PoolProof.NONE:
        return _no(written, f"nothing tells for pools of kind {written.kind}")
    if read is not None and read.proof is not written.proof:
        return _no(
            written, f"it is of kind {written.kind} on one host and {read.kind} on the other"
        )
    why = _other_keys(written, read) if written.proof is PoolProof.KEYS else _unseen(written, read)
    return None if why is None else _no(written, why)


def _unseen(written: PoolIdentity, read: PoolIdentity | None) -> str | None:
    token_needed = written.proof is PoolProof.CONTENT
    if not written.nonce or not written.writer or (token_needed and not written.token):
        return "the host that should prove it wrote no token and nonce"
    if read is None:
        return "what one host writes there, the other does not see"
    if read.token != written.token:
        return "the two hosts' pools hold different tokens"
    if read.writer != written.writer or read.nonce != written.nonce:
        return "the token is the same, but what one host just wrote the other does not see"
    return None


def _other_keys(written: PoolIdentity, read: PoolIdentity | None) -> str | None:
    there = {} if read is None else read.keys
    if not written.keys:
        return "the host that should prove it has none of the guest's volumes"
    for volume, key in sorted(written.keys.items()):
        if not LV_UUID.fullmatch(key):
            return f"libvirt knows no LVM UUID of its volume {volume!r}"
        if there.get(volume) != key:
            return f"volume {volume!r} is another one on each host: their LVM UUIDs differ"
    return None


def _no(written: PoolIdentity, why: str) -> Refusal:
    return Refusal(
        filter="storage",
        code=NOT_SHARED,
        message=f"storage pool {written.name!r} is not known to be shared: {why}",
        facts={"pool": written.name},
    )

"""Whether two hosts' pools are the same storage. Pure.

One agent writes its nonce into its pool, the other reads it through its own pool of that name. A
token alone would not do: it may have been copied with a host's image.
"""

from __future__ import annotations

from migrator.messages import PoolIdentity
from migrator.model import Refusal

NOT_SHARED = "disk.not_shared"


def same_storage(written: PoolIdentity, read: PoolIdentity | None) -> Refusal | None:
    """None when they are; unknown is not shared.

    :param written: what the agent that wrote says of its pool.
    :param read: what another host's pool of that name holds; None when it holds no such nonce.
    """
    if not written.token or not written.nonce or not written.writer:
        return _no(written, "the host that should prove it wrote no token and nonce")
    if read is None:
        return _no(written, "what one host writes there, the other does not see")
    if read.token != written.token:
        return _no(written, "the two hosts' pools hold different tokens")
    if read.writer != written.writer or read.nonce != written.nonce:
        return _no(
            written, "the token is the same, but what one host just wrote the other does not see"
        )
    return None


def _no(written: PoolIdentity, why: str) -> Refusal:
    return Refusal(
        filter="storage",
        code=NOT_SHARED,
        message=f"storage pool {written.name!r} is not known to be shared: {why}",
        facts={"pool": written.name},
    )

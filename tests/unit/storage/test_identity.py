"""When two hosts' pools are the same storage."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from migrator.messages import PoolIdentity
from migrator.storage.identity import same_storage

WRITTEN = PoolIdentity(
    name="shared", kind="dir", path="/srv", token="token", nonce="nonce", writer="h2"
)


def test_the_same_token_and_the_nonce_just_written_are_the_same_storage() -> None:
    assert same_storage(WRITTEN, WRITTEN) is None


def test_the_two_hosts_may_mount_it_at_different_paths() -> None:
    assert same_storage(WRITTEN, replace(WRITTEN, path="/mnt/nfs", kind="netfs")) is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (WRITTEN, None),
        (WRITTEN, replace(WRITTEN, token="other")),
        (WRITTEN, replace(WRITTEN, nonce="of last week's process")),
        (WRITTEN, replace(WRITTEN, writer="h3")),
        (replace(WRITTEN, token=""), replace(WRITTEN, token="")),
        (replace(WRITTEN, nonce=""), replace(WRITTEN, nonce="")),
        (replace(WRITTEN, writer=""), replace(WRITTEN, writer="")),
    ],
)
def test_anything_else_is_not_known_to_be_shared(
    written: PoolIdentity, read: PoolIdentity | None
) -> None:
    refusal = same_storage(written, read)
    assert refusal is not None
    assert refusal.code == "disk.not_shared"
    assert refusal.facts == {"pool": "shared"}
    assert "'shared'" in refusal.message

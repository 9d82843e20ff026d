"""When two hosts' pools are the same storage."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from migrator.messages import PoolIdentity
from migrator.model import PoolProof
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


UUID = "Wd2jZk-1aQx-7Pfe-0000-abcd-ABCD-q7Ueyt"
LOGICAL = replace(
    WRITTEN, kind="logical", token="", nonce="", proof=PoolProof.KEYS, keys={"g-vda": UUID}
)
OTHER_UUID = UUID[::-1]


def test_volumes_with_the_same_lvm_uuids_are_the_same_storage() -> None:
    assert same_storage(LOGICAL, LOGICAL) is None


@pytest.mark.parametrize(
    ("written", "read", "said"),
    [
        (LOGICAL, None, "differ"),
        (LOGICAL, replace(LOGICAL, keys={"g-vda": OTHER_UUID}), "differ"),
        (replace(LOGICAL, keys={"g-vda": UUID, "g-vdb": OTHER_UUID}), LOGICAL, "g-vdb"),
        (replace(LOGICAL, keys={}), replace(LOGICAL, keys={}), "none of the guest's volumes"),
        (
            replace(LOGICAL, keys={"g-vda": "/dev/vg0/g-vda"}),
            replace(LOGICAL, keys={"g-vda": "/dev/vg0/g-vda"}),
            "no LVM UUID",
        ),
        (LOGICAL, replace(WRITTEN, kind="dir"), "of kind logical on one host and dir"),
        (
            replace(WRITTEN, kind="iscsi", proof=PoolProof.NONE),
            replace(WRITTEN, kind="iscsi", proof=PoolProof.NONE),
            "kind iscsi",
        ),
    ],
)
def test_other_kinds_of_proof_fail_as_well(
    written: PoolIdentity, read: PoolIdentity | None, said: str
) -> None:
    refusal = same_storage(written, read)
    assert refusal is not None
    assert said in refusal.message


def test_a_name_only_one_can_know_needs_no_token() -> None:
    images = replace(WRITTEN, kind="rbd", token="", proof=PoolProof.NAMES)
    assert same_storage(images, images) is None
    assert same_storage(images, None) is not None

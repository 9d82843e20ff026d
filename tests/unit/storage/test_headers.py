"""What first bytes look like, and what follows from it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.model import DiskFormat, DiskLayer
from migrator.storage.headers import HEAD_BYTES, Header, judge_header
from tests.fakes.qcow2 import qcow2_head

GIB = 1024**3
DATA_FILE = 1 << 2
BASE = DiskLayer("raw", "base", "debian", "/srv/base/debian")


def qcow2(backing: str = "", **fields: int) -> bytes:
    return qcow2_head(10 * GIB, backing, **fields)


OTHERS = {
    "qcow2": qcow2(),
    "vhdx": b"vhdxfile".ljust(HEAD_BYTES, b"\0"),
    "vdi": (bytes(0x40) + struct.pack("<I", 0xBEDA107F)).ljust(HEAD_BYTES, b"\0"),
    "qed": b"QED\0".ljust(HEAD_BYTES, b"\0"),
}


@pytest.mark.parametrize("form", sorted(OTHERS))
def test_a_raw_disk_that_begins_like_an_image_is_suspicious_and_nothing_else(form: str) -> None:
    assert judge_header(OTHERS[form], "raw", []) == Header(looks_like=form)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        bytes(HEAD_BYTES),
        bytes(510) + b"\x55\xaa" + bytes(HEAD_BYTES),
        (bytes(32768) + b"\x01CD001\x01").ljust(HEAD_BYTES, b"\0"),
        b"LUKS\xba\xbe\x00\x02".ljust(HEAD_BYTES, b"\0"),
    ],
    ids=["empty", "zeroes", "partitions", "iso9660", "luks"],
)
def test_what_guests_put_on_their_disks_is_not_suspicious(head: bytes) -> None:
    assert judge_header(head, "raw", []) == Header()


@settings(deadline=None)
@given(st.binary(max_size=4096))
def test_no_bytes_break_it(head: bytes) -> None:
    assert judge_header(head, "raw", []).tampered is None
    assert judge_header(b"QFI\xfb" + head, DiskFormat.RAW, []).virtual_size is None


def test_a_qcow2_as_its_definition_says_has_its_size() -> None:
    assert judge_header(qcow2(), "qcow2", []) == Header(virtual_size=10 * GIB)
    standing = judge_header(qcow2("/srv/base/debian"), "qcow2", [BASE])
    assert standing == Header(virtual_size=10 * GIB)
    assert judge_header(qcow2("debian"), "qcow2", [BASE]).tampered is None
    assert judge_header(qcow2("../base/debian"), "qcow2", [BASE]).tampered is None
    assert judge_header(qcow2(encryption=2), "qcow2", [], encrypted=True).tampered is None


@pytest.mark.parametrize(
    ("head", "chain", "says"),
    [
        (bytes(HEAD_BYTES), [], "its first bytes are not"),
        (qcow2("/etc/shadow"), [], "'/etc/shadow'"),
        (qcow2("/etc/shadow"), [BASE], "'/etc/shadow'"),
        (qcow2("/etc/debian"), [BASE], "'/etc/debian'"),
        (qcow2(), [BASE], "stands on nothing"),
        (qcow2(features=DATA_FILE), [], "data_file"),
        (qcow2(features=1 << 40), [], "Unknown"),
        (qcow2(encryption=1), [], "is encrypted"),
    ],
)
def test_a_qcow2_that_contradicts_its_definition_is_told(
    head: bytes, chain: list[DiskLayer], says: str
) -> None:
    tampered = judge_header(head, "qcow2", chain).tampered
    assert tampered is not None
    assert says in tampered


def test_a_qcow2_of_the_first_kind_has_no_features_to_be_wrong() -> None:
    """What libvirt makes unless told otherwise: where later ones have features, it names the format of
    what it stands on."""
    head = bytearray(qcow2("/srv/base/debian"))
    head[4:8] = struct.pack(">I", 2)
    head[72:88] = struct.pack(">II", 0xE2792ACA, 3) + b"raw".ljust(8, b"\0")
    assert judge_header(bytes(head), "qcow2", [BASE]).tampered is None
    assert judge_header(bytes(head), "qcow2", []).tampered is not None

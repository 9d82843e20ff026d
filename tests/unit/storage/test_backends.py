"""What each kind of pool can do, and says of what it cannot: one suite for all."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from migrator.errors import Refused
from migrator.messages import PlannedVolume
from migrator.model import DiskFormat, DiskLayer
from migrator.storage.backends import BACKENDS, LookupOnly, backend_of

KINDS = [*BACKENDS, "iscsi", "kind-of-tomorrow"]
GIB = 1024**3


def wanted(**fields: Any) -> PlannedVolume:
    made = PlannedVolume(pool="p", volume="v<&>", format=DiskFormat.RAW, virtual_size=GIB + 512)
    return msgspec.structs.replace(made, **fields)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", list(DiskFormat))
def test_a_volume_is_made_with_what_was_asked_for_or_refused(kind: str, form: DiskFormat) -> None:
    backend = backend_of(kind)
    if form not in backend.formats:
        with pytest.raises(Refused) as refusal:
            backend.volume_xml(wanted(format=form), None)
        assert refusal.value.code == "pool.cannot"
        assert "--map-disk" in refusal.value.message
        return
    volume = ElementTree.fromstring(backend.volume_xml(wanted(format=form), None))
    assert volume.findtext("name") == "v<&>"
    assert volume.findtext("capacity") == str(GIB + 512)
    made = volume.find("target/format")
    assert made is not None
    assert made.get("type") == form
    assert volume.find("backingStore") is None


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_kind_lacks_it_says(kind: str) -> None:
    backend = backend_of(kind)
    complete = backend.streams and set(backend.formats) == set(DiskFormat)
    assert complete == (not backend.lacks)


@pytest.mark.parametrize("kind", ["dir", "fs", "netfs"])
def test_a_qcow2_file_is_of_todays_version_and_sparse(kind: str) -> None:
    base = DiskLayer("raw", "p", "base")
    xml = backend_of(kind).volume_xml(wanted(format=DiskFormat.QCOW2, backing=base), "/srv/base")
    volume = ElementTree.fromstring(xml)
    assert volume.findtext("target/compat") == "1.1"
    assert volume.findtext("allocation") == "0"
    assert volume.findtext("backingStore/path") == "/srv/base"
    made = volume.find("backingStore/format")
    assert made is not None
    assert made.get("type") == "raw"


def test_a_logical_volume_takes_what_its_guest_sees() -> None:
    volume = ElementTree.fromstring(backend_of("logical").volume_xml(wanted(), None))
    assert volume.findtext("allocation") == volume.findtext("capacity")


@pytest.mark.parametrize(
    ("kind", "source", "said"),
    [
        ("dir", "", None),
        ("fs", "<device path='/dev/sdb1'/>", "/dev/sdb1"),
        ("netfs", "<host name='nas'/><dir path='/export'/>", "nas:/export"),
        ("logical", "<device path='/dev/sdb'/><name>vg0</name>", "vg0"),
        (
            "rbd",
            "<host name='m2'/><host name='m1' port='6789'/><name>vms</name>",
            "m1:6789,m2/vms",
        ),
        ("iscsi", "<name>target</name>", "target"),
    ],
)
def test_a_pool_says_what_it_is_made_of(kind: str, source: str, said: str | None) -> None:
    pool = ElementTree.fromstring(f"<pool type='{kind}'><source>{source}</source></pool>")
    assert backend_of(kind).source(pool) == said


def test_what_nobody_knows_serves_lookup_only() -> None:
    assert backend_of("mpath") == LookupOnly("mpath")

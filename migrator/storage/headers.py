"""What the first bytes of a volume look like. Pure; to alarm, never to choose a format.

A guest writes what it likes into a raw disk, a header of another format included. The other way round, a
qcow2's header is its host's: where that names something that the guest's definition does not,
somebody has changed it, and opening it would open what it names.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from oslo_utils.imageutils import format_inspector

from migrator.model import DiskFormat, DiskLayer

HEAD_BYTES = 64 * 1024
"""Of a volume that are looked at: a qcow2's header, its extensions and the name of what it stands on
are in its first cluster, other formats begin sooner."""
ORDINARY = frozenset({"raw", "gpt", "iso", "luks"})
"""What guests put on their disks for themselves."""

_BACKING = struct.Struct(">QI")
_BACKING_AT = 8
_VERSION = struct.Struct(">I")
_VERSION_AT = 4
WITHOUT_FEATURES = 2
_ENCRYPTION = struct.Struct(">I")
_ENCRYPTION_AT = 32


@dataclass(frozen=True)
class Header:
    """What was seen."""

    looks_like: str | None = None
    """Another format than the disk's own; None when it looks as it should."""
    tampered: str | None = None
    """How a qcow2's header contradicts its definition, as a sentence's second half."""
    virtual_size: int | None = None
    """Bytes, by the header of a qcow2; None for anything else."""


def judge_header(
    head: bytes, form: str, chain: Sequence[DiskLayer], encrypted: bool = False
) -> Header:
    """:param head: the volume's first :data:`HEAD_BYTES`, or all of a shorter one.
    :param form: the recorded format.
    :param chain: what the disk is defined to stand on."""
    if form == DiskFormat.QCOW2:
        return _qcow2(head, chain, encrypted)
    seen = _formats(head) - ORDINARY - {form}
    return Header(looks_like=min(seen, default=None))


def _formats(head: bytes) -> set[str]:
    found = set()
    for name, inspector_class in format_inspector.ALL_FORMATS.items():
        inspector = inspector_class()
        try:
            inspector.eat_chunk(head)
            inspector.finish()
            if inspector.format_match:
                found.add(name)
        except Exception:
            continue
    return found


def _qcow2(head: bytes, chain: Sequence[DiskLayer], encrypted: bool) -> Header:
    inspector = format_inspector.QcowInspector()
    inspector.eat_chunk(head)
    inspector.finish()
    if not inspector.format_match:
        return Header(tampered="is said to be qcow2, and its first bytes are not")
    return Header(
        tampered=_contradiction(inspector, head, chain, encrypted),
        virtual_size=int(inspector.virtual_size),
    )


def _contradiction(
    inspector: format_inspector.QcowInspector,
    head: bytes,
    chain: Sequence[DiskLayer],
    encrypted: bool,
) -> str | None:
    (version,) = _VERSION.unpack_from(head, _VERSION_AT)
    # One of version 2 has no features: what is in their place means something else.
    checks = (inspector.check_unknown_features, inspector.check_data_file)
    for check in checks if version != WITHOUT_FEATURES else ():
        try:
            check()
        except format_inspector.SafetyViolation as violation:
            return f"has a header that QEMU was not asked for ({violation})"
    (method,) = _ENCRYPTION.unpack_from(head, _ENCRYPTION_AT)
    if bool(method) != encrypted:
        said = "is encrypted" if method else "is not encrypted"
        return f"{said} by its header, and the guest's definition says otherwise"
    return _other_backing(head, chain)


def _other_backing(head: bytes, chain: Sequence[DiskLayer]) -> str | None:
    offset, length = _BACKING.unpack_from(head, _BACKING_AT)
    if not offset:
        if chain:
            return (
                "stands on nothing by its header, and on another volume by the guest's definition"
            )
        return None
    named = head[offset : offset + length].decode("utf-8", "replace")
    if not chain:
        return f"stands on {named!r} by its header, and on nothing by the guest's definition"
    layer = chain[0]
    known = layer.path or layer.volume or ""
    absolute = named.startswith("/") and known.startswith("/")
    same = named == known if absolute else named.rpartition("/")[2] == known.rpartition("/")[2]
    return (
        None if same else f"stands on {named!r} by its header, and on {known!r} by its definition"
    )

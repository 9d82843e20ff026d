"""The first bytes of a qcow2 image, as qemu-img lays them out."""

from __future__ import annotations

import struct

HEAD_BYTES = 64 * 1024


def qcow2_head(size: int, backing: str = "", features: int = 0, encryption: int = 0) -> bytes:
    """Of version 3; ``size`` in bytes is what its guest sees."""
    name = backing.encode()
    offset = 1024 if name else 0
    header = struct.pack(">4sIQIIQI", b"QFI\xfb", 3, offset, len(name), 16, size, encryption)
    header = header.ljust(0x48, b"\0") + struct.pack(">QQQII", features, 0, 0, 4, 104)
    return (header.ljust(1024, b"\0") + name).ljust(HEAD_BYTES, b"\0")

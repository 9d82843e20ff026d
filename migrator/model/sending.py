"""How a transfer's memory is sent: what libvirt takes at the start only."""

from __future__ import annotations

from dataclasses import dataclass

PACKED = 2.0
"""Times as much memory that a packed stream carries: zstd on 8 connections sent a 64 GB guest over 10
Gb/s in 20.2 s instead of 46.1 s (QEMU, docs/devel/migration/qatzip-compression.rst)."""
ZSTD = "zstd"
XBZRLE = "xbzrle"


@dataclass(frozen=True)
class Sending:
    """Plain: over one connection."""

    connections: int = 1
    zero_copy: bool = False
    """Pages go to the network device without being copied first."""
    compression: str | None = None
    """``zstd``, over parallel connections only, or ``xbzrle``, over one only."""
    cache_mib: int | None = None
    """Of pages as they were sent, to which xbzrle compares them; None: the hypervisor's own size."""

    @property
    def parallel(self) -> bool:
        return self.connections > 1

    @property
    def flags(self) -> frozenset[str]:
        """libvirt's VIR_MIGRATE_* names in lower case."""
        asked = {
            "parallel": self.parallel,
            "zerocopy": self.zero_copy,
            "compressed": self.compression is not None,
        }
        return frozenset(flag for flag, is_asked in asked.items() if is_asked)


PLAIN = Sending()

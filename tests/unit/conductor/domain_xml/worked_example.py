"""The two hosts and the attempt every test of the domain XML moves a guest between, and the golden
files: real guests as libvirt 9.0 describes them.

``python -m tests.unit.conductor.domain_xml.worked_example`` writes the expected files anew; read the
difference before keeping it.
"""

from __future__ import annotations

from pathlib import Path

from migrator.conductor.domain_xml import Landing, Rendered, RenderRequest, render
from migrator.model import AttemptMark, HostAddresses

GOLDEN = Path(__file__).with_name("golden")
GUESTS = sorted(path.name.removesuffix(".live.xml") for path in GOLDEN.glob("*.live.xml"))

SOURCE = HostAddresses(
    libvirt_uri="qemu:///system",
    peer_uri="qemu+tls://h1/system",
    control_address="192.0.2.11",
    migration_address="198.51.100.11",
    disk_address="2001:db8::11",
)
DESTINATION = HostAddresses(
    libvirt_uri="qemu:///system",
    peer_uri="qemu+tls://h2/system",
    control_address="192.0.2.12",
    migration_address="198.51.100.12",
    disk_address="2001:db8::12",
)
MARK = AttemptMark("5f1c2c9e-0000-4000-8000-000000000001", 2, True)


LANDINGS = {
    "pinned": Landing(
        pins={vcpu: frozenset({cpu}) for vcpu, cpu in enumerate((20, 21, 40, 41))},
        emulator=frozenset({22}),
        floating=frozenset({0, 1}),
    ),
    "mixed": Landing(pins={1: frozenset({5}), 2: frozenset({7})}),
    "floating": Landing(floating=frozenset({0, 1, 2, 8, 9})),
    "celled": Landing(
        pins={vcpu: frozenset({cpu}) for vcpu, cpu in enumerate((32, 33, 2, 3))},
        cells={0: 2, 1: 0},
    ),
    "cached": Landing(pins={0: frozenset({6}), 1: frozenset({7})}, cells={0: 0}),
    "passthrough": Landing(
        devices={
            "0000:03:10.1": "0000:83:02.0",
            "0000:03:10.3": "0000:83:02.4",
            "0000:03:10.5": "0001:04:1f.7",
            "c2177883-f1bb-47f0-914d-32a22e3a8804": "11111111-f1bb-47f0-914d-32a22e3a8804",
        },
    ),
}
"""What the destination gives those golden guests that are bound to parts of their host; one for each
group of elements."""


def moved(
    live_xml: str, inactive_xml: str | None = None, landing: Landing | None = None
) -> Rendered:
    """What the guest becomes on its way from the one host to the other."""
    return render(RenderRequest(live_xml, inactive_xml, SOURCE, DESTINATION, MARK, landing))


def golden(guest: str, kind: str) -> Path:
    """``live`` and ``inactive`` are what libvirt says at the source, ``destination`` and
    ``persistent`` what it is given for the destination."""
    return GOLDEN / f"{guest}.{kind}.xml"


def moved_golden(guest: str) -> Rendered:
    """A golden guest, rendered now."""
    inactive = golden(guest, "inactive")
    return moved(
        golden(guest, "live").read_text(),
        inactive.read_text() if inactive.exists() else None,
        LANDINGS.get(guest),
    )


def _write() -> None:
    for guest in GUESTS:
        rendered = moved_golden(guest)
        golden(guest, "destination").write_text(rendered.destination_xml)
        if rendered.persistent_xml is not None:
            golden(guest, "persistent").write_text(rendered.persistent_xml)


if __name__ == "__main__":
    _write()

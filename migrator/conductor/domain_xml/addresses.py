"""Which of the destination's addresses stands for an address of the source."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from migrator.model import HostAddresses


@dataclass(frozen=True)
class AddressMap:
    """Addresses of the source, each with its counterpart on the destination.

    Wildcards, loopback and addresses migrator was not told of mean the same on every host, or are
    nobody's to guess: they stay.
    """

    counterparts: Mapping[str, str]

    @classmethod
    def between(cls, source: HostAddresses, destination: HostAddresses) -> AddressMap:
        """Control before migration before disk, where one address serves several planes: what people
        and consoles reach a guest by is the control plane."""
        planes = (
            (source.disk_address, destination.disk_address),
            (source.migration_address, destination.migration_address),
            (source.control_address, destination.control_address),
        )
        return cls({_plain(here): there for here, there in planes if here and there})

    def replace(self, element: Element, attribute: str, what: str) -> Iterator[str]:
        """Put the counterpart into an attribute; yields what was changed, nothing when nothing was."""
        old = element.get(attribute)
        new = None if old is None else self.counterparts.get(_plain(old))
        if new is not None and new != old:
            element.set(attribute, new)
            yield f"{what} is {new} instead of {old}"


def _plain(address: str) -> str:
    """One spelling for each IP address; anything else as it is, in lower case."""
    try:
        return str(ipaddress.ip_address(address.strip("[]")))
    except ValueError:
        return address.lower()

"""Which host names, addresses and URIs are acceptable in a configuration.

Each function returns its argument, normalised, or raises ValueError with the reason: these texts end
up in libvirt URIs, on message queues and in QEMU's listen address, so what could mean something
else there (a blank, a quote, a leading dash, a shell's or a URI's own characters) never gets in.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_URI_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?\[\]@&=+,%-]+")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

LIBVIRT_TRANSPORTS = frozenset({"", "unix", "tls", "tcp", "ssh", "libssh", "libssh2"})
"""What may follow ``qemu+``; ``ext`` is missing because it runs a program named in the URI."""

ENCRYPTED_TRANSPORTS = frozenset({"tls", "ssh", "libssh", "libssh2"})
"""Of these, what keeps the control connection between two libvirtds secret."""


def host_name(text: str) -> str:
    """A DNS name in lower case, at most 253 characters."""
    if len(text) > 253 or not _HOST_NAME.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a host name: lower-case letters, digits, dots and inner dashes only"
        )
    return text


def address(text: str) -> str:
    """An IP address, IPv6 without brackets, or a DNS name; one single machine's."""
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        if re.fullmatch(r"[0-9.]+", text):
            raise ValueError(f"{text!r} is not an IPv4 address") from None
        try:
            return host_name(text.lower())
        except ValueError:
            raise ValueError(f"{text!r} is neither an IP address nor a host name") from None
    if isinstance(ip, ipaddress.IPv6Address) and ip.scope_id is not None:
        raise ValueError(f"{text!r} names an interface of this machine only")
    if ip.is_unspecified:
        raise ValueError(f"{text} means every address; give the one the other hosts reach")
    if ip.is_multicast or ip == ipaddress.IPv4Address("255.255.255.255"):
        raise ValueError(f"{text} is not one machine's address")
    return str(ip)


def stream_uri(address: str) -> str:
    """For a stream of QEMU's. Without a port: libvirt takes a free one of its range."""
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        version = 4
    return f"tcp://[{address}]" if version == 6 else f"tcp://{address}"


def libvirt_uri(text: str) -> str:
    """A connection URI of libvirt's QEMU driver."""
    if not _URI_CHARACTERS.fullmatch(text):
        raise ValueError(f"{text!r} holds characters that a libvirt URI does not need")
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018  raises for a port that is none
    except ValueError as error:
        raise ValueError(f"{text!r} is not a URI: {error}") from None
    driver, _, transport = parts.scheme.partition("+")
    if driver != "qemu" or transport not in LIBVIRT_TRANSPORTS:
        raise ValueError(
            f"{text!r} is not a URI of libvirt's QEMU driver, such as qemu:///system or"
            " qemu+tls://host/system"
        )
    if parts.path not in ("/system", "/session"):
        raise ValueError(f"{text!r} must name /system or /session")
    if parts.password is not None:
        raise ValueError(f"{text!r} must not hold a password")
    if parts.username is not None and not _USER.fullmatch(parts.username):
        raise ValueError(f"{text!r} holds an unusable user name")
    if parts.hostname is not None:
        address(parts.hostname)
    return text


def peer_uri(text: str) -> str:
    """A libvirt URI that means the same machine wherever it is opened."""
    parts = urlsplit(libvirt_uri(text))
    if parts.hostname is None and "socket=" not in parts.query:
        raise ValueError(f"{text!r} names no host, so another host would reach itself by it")
    return text


def is_encrypted(uri: str) -> bool:
    """Whether control traffic over this libvirt URI is encrypted.

    libvirt's own choice for a URI with a host and no transport is TLS.
    """
    parts = urlsplit(uri)
    transport = parts.scheme.partition("+")[2]
    return transport in ENCRYPTED_TRANSPORTS or (transport == "" and parts.hostname is not None)

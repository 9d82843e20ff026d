"""The connections a copy of volumes runs on: this host's libvirt, and the destination's as a client.

Every worker of :mod:`migrator.storage.libvirt_copy` gets a pair of its own. The other host's agent has
no part in it: what is opened is its libvirt, by the URI its peers use. This agent needs what that URI
needs (a client certificate for ``qemu+tls``, a key for ``qemu+ssh``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import libvirt

from migrator.compute_agent.libvirt_connections import Link, open_link
from migrator.compute_agent.libvirt_errors import translated, words
from migrator.errors import Broken, MigratorError
from migrator.model import Range, VolumeCopy, VolumeDigest, VolumeRef
from migrator.storage.libvirt_copy import Ends, copy_volumes, digest_volumes
from migrator.storage.ports import CopyWatch


def copy(
    uris: tuple[str, str],
    copies: Sequence[VolumeCopy],
    watch: CopyWatch,
) -> list[VolumeDigest]:
    """Copy every volume; what the sources hold.

    :param uris: of this host's libvirt and of the destination's.
    :raises Refused: ``migration.aborted``, ``volume.missing``, ``pool.missing``.
    :raises Transient: ``libvirt.unreachable``: one of the two is away; take the copy up again.
    :raises Broken: ``copy.failed`` with libvirt's words.
    """
    return copy_volumes(partial(_open_ends, *uris), copies, watch)


def digest(
    uri: str, wanted: Sequence[tuple[VolumeRef, Sequence[Range]]], watch: CopyWatch
) -> list[VolumeDigest]:
    """What volumes of this host hold; raises as :func:`copy` does."""
    return digest_volumes(partial(_open_one, uri), wanted, watch)


@contextmanager
def _open_ends(here: str, there: str) -> Iterator[Ends]:
    source = open_link(here, "copy")
    try:
        destination = open_link(there, "copy-peer")
        try:
            yield Ends(source.conn, destination.conn)
        except libvirt.libvirtError as error:
            raise _failure(error, source, destination) from error
        finally:
            destination.close()
    finally:
        source.close()


@contextmanager
def _open_one(uri: str) -> Iterator[libvirt.virConnect]:
    link = open_link(uri, "digest")
    try:
        yield link.conn
    except libvirt.libvirtError as error:
        raise _failure(error, link) from error
    finally:
        link.close()


def _failure(error: libvirt.libvirtError, *links: Link) -> MigratorError:
    if all(link.alive for link in links):
        return Broken("copy.failed", words(error), libvirt_code=error.get_error_code())
    return translated(error, "a libvirt went away during the copy", alive=False)

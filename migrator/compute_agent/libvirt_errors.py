"""What libvirt's errors mean to everybody above: translated here and nowhere else."""

from __future__ import annotations

import libvirt

from migrator.errors import Broken, MigratorError, Transient


def is_no_domain(error: libvirt.libvirtError) -> bool:
    """libvirt answered that it has no such domain (it may have gone between two calls)."""
    return bool(error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN)


def has_code(error: libvirt.libvirtError, *names: str) -> bool:
    """Whether it carries one of these codes, by libvirt's names without VIR_ERR_."""
    code = error.get_error_code()
    return any(code == getattr(libvirt, f"VIR_ERR_{name}", None) for name in names)


def translated(error: libvirt.libvirtError, what: str, alive: bool) -> MigratorError:
    """A failed call other than migrate.

    :param what: what was being done, for the sentence.
    :param alive: whether the connection still is. libvirt's codes do not tell a lost connection from
        other internal errors, the connection does.
    """
    code = "libvirt.error" if alive else "libvirt.unreachable"
    return Transient(code, f"{what}: {words(error)}", **_facts(error))


def transfer_failure(error: libvirt.libvirtError, alive: bool) -> MigratorError:
    """A failed migrate: ``transfer.failed``, or ``libvirt.unreachable`` when it is our connection that
    broke. In that case libvirt may well go on with the transfer."""
    if not alive:
        return translated(error, "the connection broke while the transfer ran", alive)
    return Broken("transfer.failed", words(error), **_facts(error))


def unreachable(uri: str, why: str) -> MigratorError:
    """No connection could be had."""
    return Transient(
        "libvirt.unreachable",
        f"libvirt at {uri} cannot be reached: {why}. Check that its daemon runs and answers `virsh -c"
        f" '{uri}' uri`",
        uri=uri,
    )


def timed_out(what: str, seconds: float) -> MigratorError:
    """A call past its deadline."""
    return Transient(
        "libvirt.timeout",
        f"{what}: libvirt did not answer within {seconds:g} s; its connection has been replaced, and"
        " what was asked may still happen",
        seconds=seconds,
    )


def words(error: libvirt.libvirtError) -> str:
    """libvirt's own sentence."""
    return error.get_error_message() or str(error)


def _facts(error: libvirt.libvirtError) -> dict[str, int | None]:
    return {"libvirt_code": error.get_error_code(), "libvirt_domain": error.get_error_domain()}

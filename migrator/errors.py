"""Everything migrator can say no with, and the stable code of each.

    MigratorError
     +- Refused     an expected no: nothing was changed, asking again the same way gets the same answer
     |   +- Fenced  a writer or a command that has been superseded by a newer leader
     +- Transient   may work later: unreachable, timed out, busy; retried by whoever owns the work
     +- Broken      a bug or damage: needs a person

A code never changes its meaning once released; people read the sentence, programs read the code.
Retry and rollback look at the class only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# code -> HTTP status of the refusal or failure. 404: no such thing; 409: conflicts with what is so;
# 422: understood and impossible; 400: malformed; 503: cannot be known or done now; 500: ours to mend.
CODES: Mapping[str, int] = {
    "abort.too_late": 409,
    "affinity.apart": 422,
    "affinity.together": 422,
    "api.unreachable": 503,
    "cells.insufficient": 422,
    "claim.conflict": 503,
    "claim.stale": 409,
    "command.deadline": 503,
    "command.stale": 409,
    "config.invalid": 400,
    "confirm.not_waiting": 409,
    "copy.failed": 500,
    "copy.interrupted": 503,
    "copy.mismatch": 500,
    "cpu.incompatible": 422,
    "cpus.insufficient": 422,
    "cpus.no_siblings": 422,
    "cpus.no_whole_core": 422,
    "database.busy": 503,
    "database.damaged": 503,
    "database.in_use": 409,
    "database.revision": 503,
    "database.unreachable": 503,
    "destination.domain_exists": 409,
    "device.not_migratable": 422,
    "device.not_released": 409,
    "disk.backing_missing": 422,
    "disk.base_differs": 422,
    "disk.cache_unsafe": 422,
    "disk.chain_invalid": 422,
    "disk.definition_differs": 409,
    "disk.encrypted": 422,
    "disk.format_unknown": 422,
    "disk.header_mismatch": 422,
    "disk.not_in_pool": 422,
    "disk.not_shared": 422,
    "disk.record_mismatch": 409,
    "disk.size_unknown": 503,
    "disk.too_large": 422,
    "disk.unknown": 404,
    "domain.xml_changed": 500,
    "domain.xml_invalid": 422,
    "force.impossible": 409,
    "force.too_late": 409,
    "guest.busy": 409,
    "guest.died": 422,
    "guest.not_active": 409,
    "guest.start_failed": 500,
    "guest.state_unknown": 503,
    "guest.transient": 422,
    "host.agent_down": 503,
    "host.disabled": 409,
    "host.draining": 409,
    "host.incoming_full": 503,
    "host.is_source": 422,
    "host.maintenance": 409,
    "host.none_fits": 422,
    "host.tag_forbidden": 422,
    "host.tag_missing": 422,
    "host.too_old": 422,
    "host.unknown": 404,
    "host.wrong_zone": 422,
    "instance.ambiguous": 409,
    "instance.ambiguous_name": 409,
    "instance.gone": 404,
    "instance.unknown": 404,
    "internal": 500,
    "kind.unsupported": 422,
    "libvirt.error": 503,
    "libvirt.timeout": 503,
    "libvirt.unreachable": 503,
    "machine.unsupported": 422,
    "memory.insufficient": 422,
    "migration.aborted": 409,
    "migration.ambiguous": 409,
    "migration.exists": 409,
    "migration.finished": 409,
    "migration.unknown": 404,
    "network.missing": 422,
    "pages.insufficient": 422,
    "pages.unaligned": 422,
    "pci.insufficient": 422,
    "placement.incomplete": 500,
    "pool.cannot": 422,
    "pool.full": 422,
    "pool.missing": 422,
    "pool.unknown": 404,
    "profile.built_in": 409,
    "profile.exists": 409,
    "profile.in_use": 409,
    "profile.unknown": 404,
    "report.stale": 409,
    "request.conflict": 409,
    "request.invalid": 400,
    "request.too_large": 413,
    "rescue.not_needed": 409,
    "route.unknown": 404,
    "rpc.bad_request": 400,
    "rpc.timeout": 503,
    "rpc.unreachable": 503,
    "rpc.version": 409,
    "state.illegal": 409,
    "tls.required": 422,
    "topology.unknown": 503,
    "transfer.failed": 500,
    "transfer.lost": 500,
    "transfer.split_brain": 500,
    "vcpus.insufficient": 422,
    "viewers.too_many": 503,
    "volume.exists": 409,
    "volume.in_use": 409,
    "volume.missing": 422,
}


class MigratorError(Exception):
    """A failure with a stable code, one sentence for people, and facts for programs.

    :param code: one of :data:`CODES`.
    :param message: what happened, why, and what to do next.
    :param facts: JSON-able details, the same on both ends of a wire.
    """

    def __init__(self, code: str, message: str, /, **facts: Any) -> None:
        if code not in CODES:
            raise ValueError(f"unregistered error code {code!r}")
        super().__init__(message)
        self.code = code
        self.message = message
        self.facts = facts

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"

    @property
    def http_status(self) -> int:
        """HTTP status an API answers this failure with."""
        return CODES[self.code]

    def to_dict(self) -> dict[str, Any]:
        """The failure as it travels: {class, code, message, facts}."""
        return {
            "class": _class_name(self),
            "code": self.code,
            "message": self.message,
            "facts": self.facts,
        }


class Refused(MigratorError):
    """An expected no; nothing was changed."""


class Fenced(Refused):
    """The writer has been superseded: another epoch or incarnation leads now."""


class Transient(MigratorError):
    """Did not work this time; the owner of the work tries again."""


class Broken(MigratorError):
    """A bug or damage; needs a person."""


_CLASSES: Mapping[str, type[MigratorError]] = {
    "refused": Refused,
    "fenced": Fenced,
    "transient": Transient,
    "broken": Broken,
}


def _class_name(error: MigratorError) -> str:
    for name, cls in _CLASSES.items():
        if type(error) is cls:
            return name
    return "broken"


def error_from_dict(document: Mapping[str, Any]) -> MigratorError:
    """Rebuild a failure from its travelling form.

    A code this release does not know (a newer peer) becomes ``internal``, its own code kept in the
    sentence and in ``facts["code"]``.
    """
    cls = _CLASSES.get(str(document.get("class")), Broken)
    code = str(document.get("code"))
    message = str(document.get("message"))
    facts = {str(key): value for key, value in dict(document.get("facts") or {}).items()}
    if code not in CODES:
        return cls("internal", f"{code}: {message}", **{**facts, "code": code})
    return cls(code, message, **facts)

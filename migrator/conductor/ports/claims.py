"""Claims, read; and those that nothing else keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from migrator.model import Claim, DomainSummary


class ClaimStore(Protocol):
    """Claims, read; they change only as effects of a migration's move or with an instance."""

    def list(self) -> Sequence[Claim]: ...

    def on_host(self, host: str) -> tuple[int, Sequence[Claim]]:
        """(claims generation, claims) of one host."""
        ...

    def of_hosts(self, names: Sequence[str] | None) -> Mapping[str, Sequence[Claim]]:
        """host -> its claims, of ``names`` or of all; without the bytes they keep free in pools."""
        ...

    def sweep(self) -> Sequence[Claim]:
        """Drop claims of migrations that have ended, and ``use`` claims of instances that do not live
        where they are; what was dropped."""
        ...

    def keep_foreign(self, instance_id: str, there: Mapping[str, DomainSummary]) -> None:
        """Its ``foreign`` claims are those of these hosts from now on, with what the domains there have.
        A claim that it has on such a host otherwise stays what it is, and so does everything while a
        migration of it is unfinished."""
        ...

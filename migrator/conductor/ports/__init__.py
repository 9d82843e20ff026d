"""What the conductor needs of its database, a few verbs at a time.

Stores raise ``Transient`` ``database.busy`` or ``database.unreachable``; every other refusal is
named at its verb. Every verb is one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

from migrator.conductor.ports.claims import ClaimStore
from migrator.conductor.ports.disks import DiskStore
from migrator.conductor.ports.hosts import HostStore
from migrator.conductor.ports.instances import Heard, InstanceStore
from migrator.conductor.ports.journal import Journal, Lead, RecordMark
from migrator.conductor.ports.migrations import MigrationStore
from migrator.conductor.ports.profiles import ProfileStore

__all__ = [
    "ClaimStore",
    "DiskStore",
    "Heard",
    "HostStore",
    "InstanceStore",
    "Journal",
    "Lead",
    "MigrationStore",
    "ProfileStore",
    "RecordMark",
    "Stores",
]


@dataclass(frozen=True)
class Stores:
    """Everything of the database the conductor uses."""

    journal: Journal
    migrations: MigrationStore
    hosts: HostStore
    instances: InstanceStore
    claims: ClaimStore
    disks: DiskStore
    profiles: ProfileStore

"""The documented way into a conductor: :class:`ConductorClient`.

    bus = Bus.open(conf, "rabbit://user:password@broker/migrator")
    conductor = ConductorClient(bus)
    moving = conductor.migrate(Migrate(instance="web1", host="h2"))
    print(conductor.show(MigrationRef(id=moving.id)).state)

Every method takes one request and returns one reply of :mod:`migrator.messages` and raises
:class:`migrator.errors.MigratorError`: ``Refused`` when the answer is no and nothing was changed,
``Transient`` when the conductor could not be reached or did not answer in time. After a timed-out
``migrate`` the outcome is unknown: ask again with the same ``request_id``.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import msgspec

from migrator.errors import Transient
from migrator.messages import (
    CONDUCTOR_METHODS,
    CONDUCTOR_TOPIC,
    RPC_VERSION,
    AbortAnswer,
    AbortMigration,
    AssignProfile,
    ClaimAudit,
    ClaimList,
    ConfirmMigration,
    Counted,
    DomainEvent,
    DryRun,
    Empty,
    EventList,
    ForceAnswer,
    ForceComplete,
    Health,
    HostList,
    HostRef,
    HostReport,
    HostReported,
    HostView,
    InstanceList,
    InstanceView,
    LabelHost,
    ListEvents,
    ListMigrations,
    Migrate,
    MigrationDisks,
    MigrationList,
    MigrationRef,
    MigrationView,
    NamedInstance,
    PoolList,
    PoolOnHosts,
    PoolRef,
    ProfileList,
    ProfileRef,
    ProfileView,
    PutProfile,
    Relay,
    RescueAnswer,
    RescueMigration,
    RevertMigration,
    SetHost,
    SetInstance,
    TransferAction,
    TransferEnded,
    TransferProgress,
    Tune,
    TuneAnswer,
    Verified,
    Verify,
    WishInstance,
)
from migrator.rpc import Bus

R = TypeVar("R", bound=msgspec.Struct)

ANSWER_S = 15.0
VERDICT_S = 40.0
"""`migrate` and `dry_run` answer with the verdict, which may take 30 s."""
VERIFY_S = 100.0
"""Every host is asked about each of its instances, and a host that is away costs one read's time."""


ALIVE_S = 4.0
"""A conductor that works on a request says so at least twice in this time."""
ASKED = 3
"""Conductors, one after the other."""
NOT_TWICE = frozenset({"migrate", "dry_run", "verify", "transfer_action"})
"""Not asked of another conductor by itself: they begin something, add to a record, or take long."""


class ConductorApi(Protocol):
    """What operators and the HTTP API may ask."""

    def migrate(self, request: Migrate) -> MigrationView: ...
    def dry_run(self, request: Migrate) -> DryRun: ...
    def show(self, request: MigrationRef) -> MigrationView: ...
    def list(self, request: ListMigrations) -> MigrationList: ...
    def events(self, request: ListEvents) -> EventList: ...
    def show_disks(self, request: MigrationRef) -> MigrationDisks: ...
    def abort(self, request: AbortMigration) -> AbortAnswer: ...
    def force_complete(self, request: ForceComplete) -> ForceAnswer: ...
    def tune(self, request: Tune) -> TuneAnswer: ...
    def rescue(self, request: RescueMigration) -> RescueAnswer: ...

    def confirm(self, request: ConfirmMigration) -> MigrationView: ...
    def revert(self, request: RevertMigration) -> MigrationView: ...
    def list_hosts(self, request: Empty) -> HostList: ...
    def show_host(self, request: HostRef) -> HostView: ...
    def set_host(self, request: SetHost) -> HostView: ...

    def label_host(self, request: LabelHost) -> HostView: ...
    def list_instances(self, request: Empty) -> InstanceList: ...
    def show_instance(self, request: NamedInstance) -> InstanceView: ...
    def set_instance(self, request: SetInstance) -> InstanceView: ...

    def wish(self, request: WishInstance) -> InstanceView: ...
    def list_pools(self, request: Empty) -> PoolList: ...
    def show_pool(self, request: PoolRef) -> PoolOnHosts: ...

    def assign_profile(self, request: AssignProfile) -> InstanceView: ...
    def list_profiles(self, request: Empty) -> ProfileList: ...
    def show_profile(self, request: ProfileRef) -> ProfileView: ...
    def create_profile(self, request: PutProfile) -> ProfileView: ...
    def set_profile(self, request: PutProfile) -> ProfileView: ...
    def delete_profile(self, request: ProfileRef) -> Empty: ...
    def list_claims(self, request: Empty) -> ClaimList: ...
    def audit_claims(self, request: Empty) -> ClaimAudit: ...
    def verify(self, request: Verify) -> Verified: ...
    def count(self, request: Empty) -> Counted: ...
    def health(self, request: Empty) -> Health: ...


class ReportsApi(Protocol):
    """What agents tell a conductor."""

    def report_host(self, request: HostReport) -> HostReported: ...
    def domain_event(self, request: DomainEvent) -> Empty: ...
    def transfer_progress(self, request: TransferProgress) -> None: ...
    def transfer_ended(self, request: TransferEnded) -> Empty: ...
    def transfer_action(self, request: TransferAction) -> Empty: ...


class PeersApi(Protocol):
    """What a conductor tells the others."""

    def relay(self, request: Relay) -> None: ...


class ConductorClient:
    """:class:`ConductorApi`, :class:`ReportsApi` and :class:`PeersApi` over RPC."""

    def __init__(self, bus: Bus) -> None:
        self._client = bus.client(CONDUCTOR_TOPIC, CONDUCTOR_METHODS, RPC_VERSION)

    def _call(
        self, name: str, request: msgspec.Struct, reply: type[R], timeout: float = ANSWER_S
    ) -> R:
        """One conductor is asked; one that gives no sign of life has perhaps been frozen with the
        request in its hands, so that another is asked, where doing it twice is doing it once."""
        for left in reversed(range(ASKED)):
            try:
                answer = self._client.call(name, request, timeout=timeout, monitor_timeout=ALIVE_S)
            except Transient as error:
                if not left or name in NOT_TWICE or not error.facts.get("silent"):
                    raise
            else:
                assert isinstance(answer, reply)
                return answer
        raise AssertionError("unreachable")

    # -- operators

    def migrate(self, request: Migrate) -> MigrationView:
        """Ask for a migration; answers once every check has passed and it is queued."""
        return self._call("migrate", request, MigrationView, VERDICT_S)

    def dry_run(self, request: Migrate) -> DryRun:
        """Every host's verdict, without moving or claiming anything."""
        return self._call("dry_run", request, DryRun, VERDICT_S)

    def show(self, request: MigrationRef) -> MigrationView:
        return self._call("show", request, MigrationView)

    def list(self, request: ListMigrations) -> MigrationList:
        return self._call("list", request, MigrationList)

    def events(self, request: ListEvents) -> EventList:
        return self._call("events", request, EventList)

    def show_disks(self, request: MigrationRef) -> MigrationDisks:
        return self._call("show_disks", request, MigrationDisks)

    def abort(self, request: AbortMigration) -> AbortAnswer:
        """Ask for an abort; ``abort.too_late`` once the guest runs at the destination."""
        return self._call("abort", request, AbortAnswer)

    def force_complete(self, request: ForceComplete) -> ForceAnswer:
        """Bring it to its end at once, or as soon as that makes sense. Persistent, and harmless when
        said twice; ``force.too_late`` once the guest runs at the destination, ``force.impossible`` for a
        method that this transfer was not started for."""
        return self._call("force_complete", request, ForceAnswer)

    def tune(self, request: Tune) -> TuneAnswer:
        """Change bandwidths and the downtime limit while it runs, or for its start."""
        return self._call("tune", request, TuneAnswer)

    def rescue(self, request: RescueMigration) -> RescueAnswer:
        """Try an interrupted post-copy again now; it is tried again and again anyway."""
        return self._call("rescue", request, RescueAnswer)

    def confirm(self, request: ConfirmMigration) -> MigrationView:
        """Let the source of a cold move go; ``confirm.not_waiting`` unless it waits for that."""
        return self._call("confirm", request, MigrationView)

    def revert(self, request: RevertMigration) -> MigrationView:
        """Bring the guest of a cold move back; ``confirm.not_waiting`` unless it waits for that."""
        return self._call("revert", request, MigrationView)

    def list_hosts(self, request: Empty) -> HostList:
        return self._call("list_hosts", request, HostList)

    def show_host(self, request: HostRef) -> HostView:
        return self._call("show_host", request, HostView)

    def set_host(self, request: SetHost) -> HostView:
        return self._call("set_host", request, HostView)

    def label_host(self, request: LabelHost) -> HostView:
        return self._call("label_host", request, HostView)

    def list_instances(self, request: Empty) -> InstanceList:
        return self._call("list_instances", request, InstanceList)

    def show_instance(self, request: NamedInstance) -> InstanceView:
        return self._call("show_instance", request, InstanceView)

    def set_instance(self, request: SetInstance) -> InstanceView:
        return self._call("set_instance", request, InstanceView)

    def wish(self, request: WishInstance) -> InstanceView:
        return self._call("wish", request, InstanceView)

    def list_pools(self, request: Empty) -> PoolList:
        return self._call("list_pools", request, PoolList)

    def show_pool(self, request: PoolRef) -> PoolOnHosts:
        return self._call("show_pool", request, PoolOnHosts)

    def assign_profile(self, request: AssignProfile) -> InstanceView:
        """What an instance tolerates from now on."""
        return self._call("assign_profile", request, InstanceView)

    def list_profiles(self, request: Empty) -> ProfileList:
        return self._call("list_profiles", request, ProfileList)

    def show_profile(self, request: ProfileRef) -> ProfileView:
        return self._call("show_profile", request, ProfileView)

    def create_profile(self, request: PutProfile) -> ProfileView:
        return self._call("create_profile", request, ProfileView)

    def set_profile(self, request: PutProfile) -> ProfileView:
        return self._call("set_profile", request, ProfileView)

    def delete_profile(self, request: ProfileRef) -> Empty:
        """``profile.in_use`` while an instance has it."""
        return self._call("delete_profile", request, Empty)

    def list_claims(self, request: Empty) -> ClaimList:
        return self._call("list_claims", request, ClaimList)

    def audit_claims(self, request: Empty) -> ClaimAudit:
        """Compare the claims with the domains that are really there; asks every host."""
        return self._call("audit_claims", request, ClaimAudit, VERDICT_S)

    def verify(self, request: Verify) -> Verified:
        """Whether the rules hold; with ``repair`` what may be mended is."""
        return self._call("verify", request, Verified, VERIFY_S)

    def count(self, request: Empty) -> Counted:
        """Figures over every migration that has ended."""
        return self._call("count", request, Counted)

    def health(self, request: Empty) -> Health:
        return self._call("health", request, Health)

    # -- agents

    def report_host(self, request: HostReport) -> HostReported:
        return self._call("report_host", request, HostReported)

    def domain_event(self, request: DomainEvent) -> Empty:
        return self._call("domain_event", request, Empty)

    def transfer_progress(self, request: TransferProgress) -> None:
        """A notification to every conductor: nobody waits, losing one loses nothing."""
        self._client.notify_all("transfer_progress", request)

    def transfer_ended(self, request: TransferEnded) -> Empty:
        return self._call("transfer_ended", request, Empty)

    def transfer_action(self, request: TransferAction) -> Empty:
        return self._call("transfer_action", request, Empty)

    # -- conductors

    def relay(self, request: Relay) -> None:
        """A notification to every conductor; a leader that misses it asks the agents by itself."""
        self._client.notify_all("relay", request)

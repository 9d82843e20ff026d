"""Every route of the API, in one table; the application and the OpenAPI document are made from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from migrator.api import (
    asks,
    claims,
    hosts,
    instances,
    migrations,
    pools,
    profiles,
    verification,
)
from migrator.first_use import prepare
from migrator.messages import (
    AbortAnswer,
    ClaimAudit,
    ClaimList,
    DryRun,
    Empty,
    EventList,
    ForceAnswer,
    HostList,
    HostView,
    InstanceList,
    InstanceView,
    MigrationDisks,
    MigrationList,
    MigrationView,
    PoolList,
    PoolOnHosts,
    ProfileList,
    ProfileView,
    RescueAnswer,
    TuneAnswer,
    Verified,
)

if TYPE_CHECKING:
    from migrator.conductor.rpcapi import ConductorApi

A = TypeVar("A", bound=asks.Ask)


@dataclass(frozen=True)
class Route(Generic[A]):
    """One method on one path.

    :param ask: its fields come from the path where the path names them, else from the query (GET) or
        from the JSON body (anything else).
    :param status: of a good answer; 202 where work goes on after it.
    :param streams: also answers ``Accept: text/event-stream``.
    """

    method: str
    path: str
    ask: type[A]
    do: Callable[[ConductorApi, A], msgspec.Struct]
    reply: type[msgspec.Struct]
    summary: str
    status: int = 200
    streams: bool = False

    def __post_init__(self) -> None:
        prepare(self.ask)

    @property
    def path_fields(self) -> tuple[str, ...]:
        """The fields of ``ask`` that the path names."""
        return tuple(
            part[1:-1]
            for part in self.path.split("/")
            if part.startswith("{") and part.endswith("}")
        )

    @property
    def body_may_be_left_out(self) -> bool:
        """Every field that the path does not name has a default."""
        fields = msgspec.structs.fields(self.ask)
        return all(not each.required or each.name in self.path_fields for each in fields)

    @property
    def has_body(self) -> bool:
        return self.method != "GET" and set(self.ask.__struct_fields__) > set(self.path_fields)


ROUTES: tuple[Route[Any], ...] = (
    Route("GET", "/v1/hosts", asks.Nothing, hosts.index, HostList, "Every host"),
    Route("GET", "/v1/hosts/{name}", asks.OneHost, hosts.show, HostView, "One host"),
    Route(
        "PATCH",
        "/v1/hosts/{name}",
        asks.ChangeHost,
        hosts.change,
        HostView,
        "Allow a host to receive instances, or not; label it",
    ),
    Route("GET", "/v1/instances", asks.Nothing, instances.index, InstanceList, "Every instance"),
    Route(
        "GET",
        "/v1/instances/{id}",
        asks.OneInstance,
        instances.show,
        InstanceView,
        "One instance, by name or UUID",
    ),
    Route(
        "PATCH",
        "/v1/instances/{id}",
        asks.ChangeInstance,
        instances.change,
        InstanceView,
        "What an operator wants for an instance; on which host an ambiguous one lives",
    ),
    Route("GET", "/v1/profiles", asks.Nothing, profiles.index, ProfileList, "Every profile"),
    Route(
        "POST",
        "/v1/profiles",
        asks.NewProfile,
        profiles.create,
        ProfileView,
        "Make one",
        status=201,
    ),
    Route("GET", "/v1/profiles/{name}", asks.OneProfile, profiles.show, ProfileView, "One profile"),
    Route(
        "PATCH",
        "/v1/profiles/{name}",
        asks.ChangeProfile,
        profiles.change,
        ProfileView,
        "Change one that is not built in",
    ),
    Route(
        "DELETE",
        "/v1/profiles/{name}",
        asks.OneProfile,
        profiles.delete,
        Empty,
        "Delete one that no instance has",
    ),
    Route(
        "GET",
        "/v1/migrations",
        asks.SomeMigrations,
        migrations.index,
        MigrationList,
        "Migrations, newest first",
    ),
    Route(
        "POST",
        "/v1/migrations",
        asks.NewMigration,
        migrations.create,
        MigrationView,
        "Move an instance; answers with the verdict, the work goes on after it",
        status=202,
    ),
    Route(
        "POST",
        "/v1/migrations/dry-run",
        asks.NewMigration,
        migrations.dry_run,
        DryRun,
        "What a move would do, and what every host says to it; changes nothing",
    ),
    Route(
        "GET",
        "/v1/migrations/{id}",
        asks.OneMigration,
        migrations.show,
        MigrationView,
        "One migration, by its id or an unambiguous beginning of it",
    ),
    Route(
        "GET",
        "/v1/migrations/{id}/disks",
        asks.OneMigration,
        migrations.disks,
        MigrationDisks,
        "What becomes of each disk, and how far its copy is",
    ),
    Route(
        "POST",
        "/v1/migrations/{id}/abort",
        asks.OneMigration,
        migrations.abort,
        AbortAnswer,
        "Stop a migration; the guest stays where it is",
        status=202,
    ),
    Route(
        "POST",
        "/v1/migrations/{id}/force-complete",
        asks.ForceMigration,
        migrations.force_complete,
        ForceAnswer,
        "Bring a migration to its end at once, or as soon as that makes sense",
        status=202,
    ),
    Route(
        "POST",
        "/v1/migrations/{id}/tune",
        asks.TuneMigration,
        migrations.tune,
        TuneAnswer,
        "Other bandwidths and another downtime limit, at once or when its transfer begins",
    ),
    Route(
        "POST",
        "/v1/migrations/{id}/rescue",
        asks.OneMigration,
        migrations.rescue,
        RescueAnswer,
        "Try an interrupted post-copy again now",
        status=202,
    ),
    Route(
        "POST",
        "/v1/migrations/{id}/confirm",
        asks.OneMigration,
        migrations.confirm,
        MigrationView,
        "Let the source of a cold move go before its time",
        status=202,
    ),
    Route(
        "POST",
        "/v1/migrations/{id}/revert",
        asks.OneMigration,
        migrations.revert,
        MigrationView,
        "Bring the guest of a cold move back; what it wrote since is lost",
        status=202,
    ),
    Route(
        "GET",
        "/v1/migrations/{id}/events",
        asks.SomeEvents,
        migrations.events,
        EventList,
        "What has happened to a migration; as text/event-stream also what happens next",
        streams=True,
    ),
    Route(
        "GET", "/v1/pools", asks.Nothing, pools.index, PoolList, "The storage pools of all hosts"
    ),
    Route(
        "GET",
        "/v1/pools/{name}",
        asks.OnePool,
        pools.show,
        PoolOnHosts,
        "The pools of one name, on the hosts that have them",
    ),
    Route(
        "GET", "/v1/claims", asks.Nothing, claims.index, ClaimList, "What is reserved on the hosts"
    ),
    Route(
        "GET",
        "/v1/claims/audit",
        asks.Nothing,
        claims.audit,
        ClaimAudit,
        "Where claims and the domains that are really there differ; asks every host",
    ),
    Route(
        "POST",
        "/v1/verify",
        asks.VerifyAll,
        verification.verify,
        Verified,
        "Whether the rules hold on every host and in every record; may mend what breaks them",
    ),
)

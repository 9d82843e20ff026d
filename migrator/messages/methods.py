"""Every RPC method: its name, what it takes and what it answers."""

from __future__ import annotations

from migrator.messages.agent_commands import (
    Abort,
    Aborted,
    DeleteVolumes,
    DestinationFinished,
    DestinationPrepared,
    DestinationUndone,
    FenceSource,
    FinishDestination,
    PrepareDestination,
    ReleaseSource,
    SourceFenced,
    SourceReleased,
    StartTransfer,
    TransferStarted,
    UndoDestination,
    VolumesDeleted,
)
from migrator.messages.agent_reads import (
    CheckDestination,
    CheckSource,
    DestinationChecked,
    Inspected,
    InstanceRef,
    SourceChecked,
    SourceFacts,
)
from migrator.messages.base import (
    Empty,
    Method,
)
from migrator.messages.claims import (
    ClaimAudit,
    ClaimList,
    HostDomains,
)
from migrator.messages.counted import Counted
from migrator.messages.devices import (
    AttachDevices,
    DetachDevices,
    DevicesAttached,
    DevicesDetached,
)
from migrator.messages.operators import (
    AbortAnswer,
    AbortMigration,
    DryRun,
    EventList,
    Health,
    HostList,
    HostRef,
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
    SetHost,
    SetInstance,
    WishInstance,
)
from migrator.messages.reports import (
    DomainEvent,
    HostReport,
    HostReported,
    Relay,
    TransferEnded,
    TransferProgress,
)
from migrator.messages.steering import (
    ForceAnswer,
    ForceComplete,
    PostcopyResumed,
    RescueAnswer,
    RescueMigration,
    ResumePostcopy,
    Steer,
    Steered,
    Tune,
    TuneAnswer,
)
from migrator.messages.traces import TransferAction
from migrator.messages.verification import Verified, Verify

AGENT_METHODS: tuple[Method, ...] = (
    Method("describe_source", InstanceRef, SourceFacts),
    Method("check_destination", CheckDestination, DestinationChecked),
    Method("check_source", CheckSource, SourceChecked),
    Method("prepare_destination", PrepareDestination, DestinationPrepared),
    Method("detach_devices", DetachDevices, DevicesDetached),
    Method("attach_devices", AttachDevices, DevicesAttached),
    Method("start_transfer", StartTransfer, TransferStarted),
    Method("steer", Steer, Steered),
    Method("resume_postcopy", ResumePostcopy, PostcopyResumed),
    Method("abort", Abort, Aborted),
    Method("inspect", InstanceRef, Inspected),
    Method("list_domains", Empty, HostDomains),
    Method("fence_source", FenceSource, SourceFenced),
    Method("finish_destination", FinishDestination, DestinationFinished),
    Method("release_source", ReleaseSource, SourceReleased),
    Method("undo_destination", UndoDestination, DestinationUndone),
    Method("delete_volumes", DeleteVolumes, VolumesDeleted),
)

CONDUCTOR_METHODS: tuple[Method, ...] = (
    Method("report_host", HostReport, HostReported),
    Method("domain_event", DomainEvent, Empty),
    Method("transfer_progress", TransferProgress, Empty),
    Method("transfer_ended", TransferEnded, Empty),
    Method("transfer_action", TransferAction, Empty),
    Method("relay", Relay, Empty),
    Method("migrate", Migrate, MigrationView),
    Method("dry_run", Migrate, DryRun),
    Method("show", MigrationRef, MigrationView),
    Method("list", ListMigrations, MigrationList),
    Method("events", ListEvents, EventList),
    Method("show_disks", MigrationRef, MigrationDisks),
    Method("abort", AbortMigration, AbortAnswer),
    Method("force_complete", ForceComplete, ForceAnswer),
    Method("tune", Tune, TuneAnswer),
    Method("rescue", RescueMigration, RescueAnswer),
    Method("list_hosts", Empty, HostList),
    Method("show_host", HostRef, HostView),
    Method("set_host", SetHost, HostView),
    Method("label_host", LabelHost, HostView),
    Method("list_instances", Empty, InstanceList),
    Method("show_instance", NamedInstance, InstanceView),
    Method("set_instance", SetInstance, InstanceView),
    Method("wish", WishInstance, InstanceView),
    Method("list_claims", Empty, ClaimList),
    Method("audit_claims", Empty, ClaimAudit),
    Method("verify", Verify, Verified),
    Method("count", Empty, Counted),
    Method("health", Empty, Health),
)

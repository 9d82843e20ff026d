"""The conductor's RPC surface: one short method per entry of CONDUCTOR_METHODS, no logic."""

from __future__ import annotations

from migrator.conductor import steered, verdict
from migrator.conductor.admission import Accept, judge_abort, judge_last_word, not_waiting
from migrator.conductor.claim_keeping import audit_claims
from migrator.conductor.context import Context
from migrator.conductor.counting import Counting
from migrator.conductor.dispatcher import the_line
from migrator.conductor.fleet import Fleet
from migrator.conductor.host_parts import with_parts
from migrator.conductor.mailroom import Wake
from migrator.conductor.pools import list_pools, show_pool
from migrator.conductor.profile_book import ProfileBook
from migrator.conductor.settling import Settling
from migrator.conductor.verification import Verification
from migrator.conductor.views import (
    claim_view,
    event_view,
    finding_view,
    host_view,
    instance_view,
    migration_disks,
    migration_view,
    waiting_for,
)
from migrator.conductor.wishes import label, labels, wishes_after
from migrator.errors import Refused
from migrator.messages import (
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
    QueuePlace,
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
from migrator.model import HostState, Migration
from migrator.states import MigrationState
from migrator.version import version


class ConductorEndpoint:
    """What operators and agents may call."""

    def __init__(self, context: Context, fleet: Fleet, settling: Settling) -> None:
        self._context = context
        self._stores = context.stores
        self._fleet = fleet
        self._settling = settling
        self._counting = Counting(context)
        self._profiles = ProfileBook(self._stores.profiles)

    # -- agents

    def report_host(self, request: HostReport) -> HostReported:
        return self._fleet.report_host(request)

    def domain_event(self, request: DomainEvent) -> Empty:
        return self._fleet.domain_event(request)

    def transfer_progress(self, request: TransferProgress) -> Empty:
        return self._fleet.transfer_progress(request)

    def transfer_ended(self, request: TransferEnded) -> Empty:
        return self._fleet.transfer_ended(request)

    def transfer_action(self, request: TransferAction) -> Empty:
        return self._fleet.transfer_action(request)

    def relay(self, request: Relay) -> Empty:
        return self._fleet.relay(request)

    # -- migrations

    def migrate(self, request: Migrate) -> MigrationView:
        migration = verdict.admit(self._context, request)
        self._context.dispatch.put(migration.id)
        return self._view(migration)

    def dry_run(self, request: Migrate) -> DryRun:
        return verdict.dry_run(self._context, request)

    def show(self, request: MigrationRef) -> MigrationView:
        return self._view(self._stores.migrations.get(request.id))

    def list(self, request: ListMigrations) -> MigrationList:
        places = self._places()
        return MigrationList(
            migrations=[
                migration_view(
                    self._with_waiting(migration),
                    self._context.mail.progress(migration.id),
                    places.get(migration.id),
                )
                for migration in self._stores.migrations.find(request)
            ]
        )

    def events(self, request: ListEvents) -> EventList:
        migration = self._stores.migrations.get(request.id)
        events = self._stores.migrations.events(migration.id, request.after, request.limit)
        return EventList(
            events=[event_view(event) for event in events], migration=self._view(migration)
        )

    def show_disks(self, request: MigrationRef) -> MigrationDisks:
        migration = self._stores.migrations.get(request.id)
        return migration_disks(migration, self._context.mail.progress(migration.id))

    def abort(self, request: AbortMigration) -> AbortAnswer:
        migration = self._stores.migrations.get(request.id)
        accepted = isinstance(judge_abort(migration), Accept)
        if accepted:
            migration = self._abort(migration, request.by)
        return AbortAnswer(
            result="accepted" if accepted else "already", migration=self._view(migration)
        )

    def confirm(self, request: ConfirmMigration) -> MigrationView:
        migration = self._stores.migrations.get(request.id)
        judge_last_word(migration)
        return self._said(self._stores.journal.confirm(migration.id, request.by), migration)

    def revert(self, request: RevertMigration) -> MigrationView:
        migration = self._stores.migrations.get(request.id)
        judge_last_word(migration)
        return self._said(self._stores.journal.revert(migration.id, request.by), migration)

    def _said(self, after: Migration | None, before: Migration) -> MigrationView:
        """None: somebody was faster, or the time was over."""
        if after is None:
            raise not_waiting(self._stores.migrations.get(before.id))
        self._context.todo.put(after.id)
        return self._view(after)

    def _abort(self, migration: Migration, by: str) -> Migration:
        if migration.state is MigrationState.QUEUED:
            cancelled = self._stores.journal.cancel_queued(migration.id, by)
            if cancelled is not None:
                self._context.dispatch.put(migration.id)
                self._settling.settle_quietly(migration.instance_id)
                return cancelled
        asked = self._stores.journal.ask_abort(migration.id, by)
        if not self._context.mail.deliver(migration.id, Wake("abort")):
            self._context.peers.relay(Relay(migration_id=migration.id))
        return asked

    def force_complete(self, request: ForceComplete) -> ForceAnswer:
        return steered.force_complete(self._context, request, self._view)

    def tune(self, request: Tune) -> TuneAnswer:
        return steered.tune(self._context, request, self._view)

    def rescue(self, request: RescueMigration) -> RescueAnswer:
        return steered.rescue(self._context, request, self._view)

    # -- hosts, instances, claims

    def list_hosts(self, request: Empty) -> HostList:
        claims = self._stores.claims.list()
        instances = self._stores.instances.list()
        return HostList(
            hosts=[
                host_view(
                    host,
                    [claim for claim in claims if claim.host == host.name],
                    sum(instance.host == host.name for instance in instances),
                )
                for host in self._stores.hosts.list()
            ]
        )

    def show_host(self, request: HostRef) -> HostView:
        host = self._stores.hosts.get(request.name)
        _, claims = self._stores.claims.on_host(host.name)
        instances = self._stores.instances.list()
        there = sum(each.host == host.name for each in instances)
        return with_parts(host_view(host, claims, there), host, claims)

    def set_host(self, request: SetHost) -> HostView:
        if request.state not in set(HostState):
            raise Refused(
                "request.invalid",
                f"a host cannot be {request.state!r}; known states: {', '.join(HostState)}",
                field="state",
            )
        self._stores.hosts.set_state(request.name, HostState(request.state))
        return self.show_host(HostRef(name=request.name))

    def label_host(self, request: LabelHost) -> HostView:
        host = self._stores.hosts.get(request.name)
        tags = host.tags if request.tags is None else labels("tags", request.tags)
        zone = host.zone if request.zone is None else label("zone", request.zone)
        self._stores.hosts.set_labels(host.name, tags, zone)
        return self.show_host(HostRef(name=host.name))

    def list_instances(self, request: Empty) -> InstanceList:
        return InstanceList(
            instances=[instance_view(each) for each in self._stores.instances.list()]
        )

    def show_instance(self, request: NamedInstance) -> InstanceView:
        instance = self._stores.instances.resolve(request.instance)
        return instance_view(instance, self._stores.disks.of_instance(instance.id))

    def set_instance(self, request: SetInstance) -> InstanceView:
        instance = self._stores.instances.resolve(request.instance)
        self._settling.choose_owner(instance.id, request.host)
        return self.show_instance(NamedInstance(instance=instance.id))

    def wish(self, request: WishInstance) -> InstanceView:
        instance = self._stores.instances.resolve(request.instance)
        self._stores.instances.set_wishes(instance.id, wishes_after(instance.wishes, request))
        return self.show_instance(NamedInstance(instance=instance.id))

    def list_pools(self, request: Empty) -> PoolList:
        return list_pools(self._context)

    def show_pool(self, request: PoolRef) -> PoolOnHosts:
        return show_pool(self._context, request.name)

    # -- profiles

    def assign_profile(self, request: AssignProfile) -> InstanceView:
        instance = self._stores.instances.resolve(request.instance)
        if request.profile is not None:
            self._profiles.show(ProfileRef(name=request.profile))
        self._stores.instances.set_profile(instance.id, request.profile)
        return self.show_instance(NamedInstance(instance=instance.id))

    def list_profiles(self, request: Empty) -> ProfileList:
        return self._profiles.list()

    def show_profile(self, request: ProfileRef) -> ProfileView:
        return self._profiles.show(request)

    def create_profile(self, request: PutProfile) -> ProfileView:
        return self._profiles.create(request)

    def set_profile(self, request: PutProfile) -> ProfileView:
        return self._profiles.change(request)

    def delete_profile(self, request: ProfileRef) -> Empty:
        return self._profiles.delete(request)

    def list_claims(self, request: Empty) -> ClaimList:
        return ClaimList(claims=[claim_view(claim) for claim in self._stores.claims.list()])

    def audit_claims(self, request: Empty) -> ClaimAudit:
        return ClaimAudit(findings=[finding_view(each) for each in audit_claims(self._context)])

    def verify(self, request: Verify) -> Verified:
        return Verification(self._context, self._settling.ask_and_settle).verify(request)

    def count(self, request: Empty) -> Counted:
        return self._counting.count()

    def health(self, request: Empty) -> Health:
        hosts = self._stores.hosts.list()
        alive = sum(host.alive for host in hosts)
        return Health(ok=True, version=version(), hosts_alive=alive, hosts=len(hosts))

    # -- how a migration is shown

    def _view(self, migration: Migration) -> MigrationView:
        place = None
        if migration.state is MigrationState.QUEUED:
            place = self._places().get(migration.id)
        return migration_view(
            self._with_waiting(migration), self._context.mail.progress(migration.id), place
        )

    def _with_waiting(self, migration: Migration) -> Migration:
        if migration.attention is None or migration.finished_at is not None:
            return migration
        return waiting_for(migration, self._stores.migrations.open_todos(migration.id))

    def _places(self) -> dict[str, QueuePlace]:
        return {
            place.migration.id: QueuePlace(position=place.position, limit=place.limit)
            for place in the_line(self._context)
        }

"""A conductor in memory: a few hosts and guests, and migrations that follow a script.

Its clock is given, so a test decides how far a migration has come. What it refuses it refuses with
the codes of the real one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from msgspec.structs import replace

from migrator.conductor.profile_book import ProfileBook
from migrator.conductor.wishes import wishes_after
from migrator.errors import MigratorError, Refused
from migrator.messages import (
    AbortAnswer,
    AbortMigration,
    AssignProfile,
    ClaimAudit,
    ClaimFinding,
    ClaimList,
    ClaimView,
    ConfirmMigration,
    Counted,
    DistributionView,
    DryRun,
    Empty,
    EventList,
    EventView,
    ForceAnswer,
    ForceComplete,
    Health,
    HostList,
    HostRef,
    HostVerdict,
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
    PoolView,
    ProfileList,
    ProfileRef,
    ProfileView,
    PutProfile,
    RescueAnswer,
    RescueMigration,
    RevertMigration,
    SetHost,
    SetInstance,
    Tune,
    TuneAnswer,
    Verified,
    Verify,
    WishInstance,
)
from migrator.model import Refusal
from migrator.states import ABORTABLE, TERMINAL, MigrationState
from tests.fakes.conductor_script import (
    FAILS,
    LOST,
    REJECTED,
    SMOOTH,
    START,
    Frame,
    host,
    instance,
    new_view,
)
from tests.fakes.profiles import MemoryProfiles

__all__ = ["FAILS", "LOST", "REJECTED", "SMOOTH", "FakeConductor", "Frame"]

_S = MigrationState


COUNTED = Counted(
    ended={"completed": 7, "failed": 2},
    failed={"transfer.failed": 2},
    attempts=10,
    todo_retries=3,
    phase_seconds={"move": DistributionView(bounds=[1.0, 10.0], counts=[4, 2, 1], sum=31.5)},
    downtime_seconds=DistributionView(bounds=[0.1, 1.0], counts=[6, 1, 0], sum=0.9),
)


@dataclass
class _Moving:
    view: MigrationView
    began: float
    frames: Sequence[Frame]
    forced: bool
    aborted_at: float | None = None


POOL = PoolView(
    name="local",
    host="h1",
    kind="dir",
    class_tag="ssd",
    uuid="7a52c0de-0000-4000-8000-0000000000aa",
    path="/srv/local",
    source=None,
    capacity=100 << 30,
    allocation=40 << 30,
    available=60 << 30,
    promised=60 << 30,
    claimed=10 << 30,
    formats=["raw", "qcow2"],
    lacks=[],
)


class FakeConductor:
    """Implements ``ConductorApi``.

    :param clock: seconds; frames of a migration are counted from the moment it was asked for.
    """

    def __init__(self, clock: Callable[[], float], frames: Sequence[Frame] = SMOOTH) -> None:
        self.clock = clock
        self.frames = frames
        self.calls: list[str] = []
        self.failing: MigratorError | Exception | None = None
        """Raised by every method while it is set."""
        self.lose_answer: MigratorError | None = None
        """Raised once by ``migrate``, after it has done its work."""
        self.healthy = True
        self.verified = Verified(instances=4, moving=0, breaches=[])
        self.findings: list[ClaimFinding] = []
        """What an audit of the claims finds."""
        self._profiles = ProfileBook(MemoryProfiles())
        self._lock = threading.RLock()
        self._moving: dict[str, _Moving] = {}
        self._answers: dict[str, str] = {}
        self.hosts = {
            "h1": host("h1"),
            "h2": host("h2", instances=0, claimed_vcpus=0, claimed_memory_mib=0),
            "h3": host(
                "h3",
                alive=False,
                why_down="no report for 31 s",
                arch=None,
                cpus=None,
                memory_mib=None,
                libvirt_version=None,
            ),
        }
        self.instances = {
            "g1": instance(1, "g1"),
            "web front": instance(2, "web front", memory_mib=2048),
            "unsure": instance(3, "unsure", host=None, status="ambiguous", candidates=["h1", "h2"]),
            "bare": instance(4, "b\x1b[31mare", status="shutoff"),
        }

    # -- what the API asks

    def migrate(self, request: Migrate) -> MigrationView:
        with self._enter("migrate"):
            if request.request_id in self._answers:
                return self._view(self._moving[self._answers[request.request_id]])
            self._find_profile(request)
            view = self._admit(request)
            moving = _Moving(view, self.clock(), self.frames, request.force)
            self._moving[view.id] = moving
            if request.request_id is not None:
                self._answers[request.request_id] = view.id
            if self.lose_answer is not None:
                error, self.lose_answer = self.lose_answer, None
                raise error
            return self._view(moving)

    def _find_profile(self, request: Migrate) -> None:
        if request.profile is not None:
            self._profiles.show(ProfileRef(name=request.profile))

    def dry_run(self, request: Migrate) -> DryRun:
        with self._enter("dry_run"):
            self._find_profile(request)
            instance = self._instance(request.instance)
            full = Refusal(
                filter="memory",
                code="memory.insufficient",
                message="h3 has 512 MiB free and 1024 are needed",
                facts={"free_mib": 512},
            )
            return DryRun(
                instance=instance.name,
                chosen="h2",
                hosts=[
                    HostVerdict(host="h2", fits=True, score=0.75, refusals=[]),
                    HostVerdict(host="h3", fits=False, score=None, refusals=[full]),
                ],
                methods=["precopy"],
                forecast=None,
            )

    def show(self, request: MigrationRef) -> MigrationView:
        with self._enter("show"):
            return self._view(self._find(request.id))

    def list(self, request: ListMigrations) -> MigrationList:
        with self._enter("list"):
            found = []
            for moving in reversed(self._moving.values()):
                view = self._view(moving)
                wanted = (
                    (not request.forced or moving.forced)
                    and (not request.needs_attention or view.needs_attention is not None)
                    and (not request.active or view.state not in TERMINAL)
                    and request.instance in (None, view.instance)
                    and request.host in (None, view.source, view.destination)
                )
                found += [view] if wanted else []
            return MigrationList(migrations=found[: request.limit])

    def show_disks(self, request: MigrationRef) -> MigrationDisks:
        with self._enter("show_disks"):
            self._find(request.id)
            return MigrationDisks(disks=[])

    def events(self, request: ListEvents) -> EventList:
        with self._enter("events"):
            moving = self._find(request.id)
            # First, as the real one does: who sees that it has ended has all of its events.
            view = self._view(moving)
            passed = self._passed(moving)
            events = [
                EventView(
                    seq=number,
                    at=START + timedelta(seconds=frame.at),
                    kind="state",
                    text=frame.text,
                    facts={"state": str(frame.state)},
                )
                for number, frame in enumerate(passed, 1)
            ]
            later = [event for event in events if event.seq > request.after]
            return EventList(events=later[: request.limit], migration=view)

    def abort(self, request: AbortMigration) -> AbortAnswer:
        with self._enter("abort"):
            moving = self._find(request.id)
            state = self._passed(moving)[-1].state
            if state in TERMINAL:
                raise Refused("migration.finished", f"migration {request.id} has ended: {state}")
            if state not in ABORTABLE:
                raise Refused("abort.too_late", "the guest runs on h2 already; migrate it back")
            result = "already" if moving.aborted_at is not None else "accepted"
            if moving.aborted_at is None:
                moving.aborted_at = self.clock() - moving.began
            return AbortAnswer(result=result, migration=self._view(moving))

    def force_complete(self, request: ForceComplete) -> ForceAnswer:
        with self._enter("force_complete"):
            moving = self._find(request.id)
            state = self._passed(moving)[-1].state
            if state not in ABORTABLE:
                raise Refused("force.too_late", "the guest runs on h2 already")
            result = "accepted" if state == "running" else "deferred"
            return ForceAnswer(result=result, reason=request.method, migration=self._view(moving))

    def tune(self, request: Tune) -> TuneAnswer:
        with self._enter("tune"):
            moving = self._find(request.id)
            runs = self._passed(moving)[-1].state == "running"
            return TuneAnswer(result="applied" if runs else "kept", migration=self._view(moving))

    def rescue(self, request: RescueMigration) -> RescueAnswer:
        with self._enter("rescue"):
            moving = self._find(request.id)
            raise Refused("rescue.not_needed", f"migration {moving.view.id} is not in post-copy")

    def confirm(self, request: ConfirmMigration) -> MigrationView:
        with self._enter("confirm"):
            raise self._no_last_word(request.id)

    def revert(self, request: RevertMigration) -> MigrationView:
        with self._enter("revert"):
            raise self._no_last_word(request.id)

    def _no_last_word(self, migration_id: str) -> Refused:
        """Its guests move live, which nobody has to confirm."""
        state = self._passed(self._find(migration_id))[-1].state
        return Refused("confirm.not_waiting", f"{migration_id} ({state}) does not wait for that")

    def list_hosts(self, request: Empty) -> HostList:
        with self._enter("list_hosts"):
            return HostList(hosts=list(self.hosts.values()))

    def show_host(self, request: HostRef) -> HostView:
        with self._enter("show_host"):
            return self._host(request.name)

    def set_host(self, request: SetHost) -> HostView:
        with self._enter("set_host"):
            changed = replace(self._host(request.name), state=request.state)
            self.hosts[request.name] = changed
            return changed

    def label_host(self, request: LabelHost) -> HostView:
        with self._enter("label_host"):
            host = self._host(request.name)
            changed = replace(
                host,
                tags=host.tags if request.tags is None else request.tags,
                zone=host.zone if request.zone is None else request.zone or None,
            )
            self.hosts[request.name] = changed
            return changed

    def list_instances(self, request: Empty) -> InstanceList:
        with self._enter("list_instances"):
            return InstanceList(instances=list(self.instances.values()))

    def show_instance(self, request: NamedInstance) -> InstanceView:
        with self._enter("show_instance"):
            return self._instance(request.instance)

    def set_instance(self, request: SetInstance) -> InstanceView:
        with self._enter("set_instance"):
            instance = self._instance(request.instance)
            if request.host not in instance.candidates:
                raise Refused("instance.ambiguous", f"{request.host} does not define it")
            changed = replace(instance, host=request.host, status="running", candidates=[])
            self.instances[request.instance] = changed
            return changed

    def assign_profile(self, request: AssignProfile) -> InstanceView:
        with self._enter("assign_profile"):
            instance = self._instance(request.instance)
            if request.profile is not None:
                self._profiles.show(ProfileRef(name=request.profile))
            changed = replace(instance, profile=request.profile)
            self.instances[request.instance] = changed
            return changed

    def list_profiles(self, request: Empty) -> ProfileList:
        with self._enter("list_profiles"):
            return self._profiles.list()

    def show_profile(self, request: ProfileRef) -> ProfileView:
        with self._enter("show_profile"):
            return self._profiles.show(request)

    def create_profile(self, request: PutProfile) -> ProfileView:
        with self._enter("create_profile"):
            return self._profiles.create(request)

    def set_profile(self, request: PutProfile) -> ProfileView:
        with self._enter("set_profile"):
            return self._profiles.change(request)

    def delete_profile(self, request: ProfileRef) -> Empty:
        with self._enter("delete_profile"):
            return self._profiles.delete(request)

    def wish(self, request: WishInstance) -> InstanceView:
        with self._enter("wish"):
            instance = self._instance(request.instance)
            changed = replace(instance, wishes=wishes_after(instance.wishes, request))
            self.instances[request.instance] = changed
            return changed

    def list_pools(self, request: Empty) -> PoolList:
        with self._enter("list_pools"):
            return PoolList(pools=[POOL])

    def show_pool(self, request: PoolRef) -> PoolOnHosts:
        with self._enter("show_pool"):
            if request.name != POOL.name:
                raise Refused("pool.unknown", f"no host has a pool {request.name!r}")
            return PoolOnHosts(name=POOL.name, class_tag=POOL.class_tag, hosts=[POOL])

    def list_claims(self, request: Empty) -> ClaimList:
        with self._enter("list_claims"):
            claim = ClaimView(
                host="h1",
                instance="g1",
                purpose="use",
                vcpus=2,
                memory_mib=1024,
                migration=None,
                created_at=START,
                pins={"0": 3, "1": 2},
                devices=["0000:3b:02.1"],
            )
            return ClaimList(claims=[claim])

    def audit_claims(self, request: Empty) -> ClaimAudit:
        with self._enter("audit_claims"):
            return ClaimAudit(findings=list(self.findings))

    def verify(self, request: Verify) -> Verified:
        with self._enter("verify"):
            return self.verified

    def count(self, request: Empty) -> Counted:
        with self._enter("count"):
            return COUNTED

    def health(self, request: Empty) -> Health:
        with self._enter("health"):
            alive = sum(host.alive for host in self.hosts.values())
            return Health(
                ok=self.healthy, version="0.1.0", hosts_alive=alive, hosts=len(self.hosts)
            )

    # -- inside

    def _enter(self, name: str) -> threading.RLock:
        self.calls.append(name)
        if self.failing is not None:
            raise self.failing
        return self._lock

    def _host(self, name: str) -> HostView:
        if name not in self.hosts:
            raise Refused("host.unknown", f"there is no host {name!r}; see `migrator host list`")
        return self.hosts[name]

    def _instance(self, name: str) -> InstanceView:
        for view in self.instances.values():
            if name in (view.name, view.id):
                return view
        raise Refused("instance.unknown", f"there is no instance {name!r}; see `instance list`")

    def _find(self, reference: str) -> _Moving:
        found = [id for id in self._moving if id.startswith(reference)]
        if len(found) > 1:
            raise Refused("migration.ambiguous", f"{reference} fits {len(found)} migrations")
        if not found or len(reference) < 4:
            raise Refused("migration.unknown", f"there is no migration {reference!r}")
        return self._moving[found[0]]

    def _admit(self, request: Migrate) -> MigrationView:
        instance = self._instance(request.instance)
        if request.kind != "live":
            raise Refused("kind.unsupported", f"{request.kind} migration is not possible yet")
        if request.host is not None and self._host(request.host).name == instance.host:
            raise Refused("host.is_source", f"{instance.name} is on {request.host} already")
        if request.host is not None and not self.hosts[request.host].alive:
            raise Refused("host.agent_down", f"{request.host} does not answer: no report for 31 s")
        for moving in self._moving.values():
            view = self._view(moving)
            if view.instance == instance.name and view.state not in TERMINAL:
                raise Refused(
                    "migration.exists", f"{instance.name} is being moved: {view.id}", id=view.id
                )
        mode = "force" if request.force else "target" if request.host else "auto"
        return new_view(instance, request.host or "h2", mode)

    def _passed(self, moving: _Moving) -> Sequence[Frame]:
        elapsed = self.clock() - moving.began
        frames = moving.frames
        if moving.aborted_at is not None:
            aborted = moving.aborted_at
            frames = [
                *(frame for frame in frames if frame.at <= aborted),
                Frame(aborted, _S.ROLLING_BACK, None, "aborted by operator; undoing"),
                Frame(
                    aborted + 0.5,
                    _S.CANCELLED,
                    None,
                    "undone at an operator's request",
                    {
                        "finished_at": START,
                        "error_code": "migration.aborted",
                        "error": "aborted by operator",
                    },
                ),
            ]
        return [frame for frame in frames if frame.at <= elapsed]

    def _view(self, moving: _Moving) -> MigrationView:
        view = moving.view
        for frame in self._passed(moving):
            view = replace(view, state=str(frame.state), phase=frame.phase, **frame.changes)
        return view

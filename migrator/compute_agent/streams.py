"""The volume streams this agent runs: started, watched, told of, ended.

They are this process's own: when it dies they end, and the next one is asked again. What the destination
holds by then is proven by its digests, so nothing has to be remembered here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from migrator.compute_agent.context import AgentPorts
from migrator.compute_agent.latch import Latch
from migrator.compute_agent.progress import ProgressSender
from migrator.compute_agent.waiting import delay
from migrator.errors import Broken, MigratorError, Refused
from migrator.messages import (
    StreamRole,
    StreamsRef,
    StreamsView,
    StreamVolumes,
    TransferEnded,
    TransferProgress,
)
from migrator.model import CopySample, JobSample, VolumeDigest
from migrator.ports import Concurrency

LOG = logging.getLogger(__name__)

MIB = 1024 * 1024
REPORT_S = 1.0
REPORT_AGAIN_S = 0.5
REPORT_AGAIN_MOST_S = 5.0
REMEMBERED_ENDED = 64
"""Ended streams a conductor may still ask about, oldest forgotten first; one that asks later has them
run again, which only reads."""

Key = tuple[str, int, StreamRole]
"""(migration id, attempt, role)"""


class Stream:
    """One attempt's streams of one role."""

    def __init__(self, key: Key, concurrency: Concurrency) -> None:
        self.migration_id, self.attempt, self.role = key
        self.stop = Latch(concurrency)
        self.ended = Latch(concurrency)
        self.error: MigratorError | None = None
        self.bandwidth: int | None = None
        """Bytes/s of all of them together; None for no limit."""
        self.volumes: Sequence[VolumeDigest] = ()

    def __str__(self) -> str:
        return f"{self.role} of migration {self.migration_id} attempt {self.attempt}"

    def view(self) -> StreamsView:
        """As it travels."""
        if not self.ended.is_set or self.error is None:
            return StreamsView(known=True, ended=self.ended.is_set, volumes=list(self.volumes))
        document = self.error.to_dict()
        return StreamsView(
            known=True,
            ended=True,
            error_class=document["class"],
            error_code=self.error.code,
            error=self.error.message,
        )


class Streams:
    """Every stream this process knows."""

    def __init__(self, ports: AgentPorts, progress: ProgressSender) -> None:
        self._ports = ports
        self._progress = progress
        self._lock = ports.concurrency.lock()
        self._known: dict[Key, Stream] = {}

    def start(
        self, request: StreamVolumes, work: Callable[[Watching], Sequence[VolumeDigest]]
    ) -> bool:
        """Run ``work`` in a worker of its own; False when this attempt's runs or has ended well already.

        One that failed is run again.
        """
        key = (request.migration_id, request.attempt, request.role)
        with self._lock:
            known = self._known.get(key)
            if known is not None and (not known.ended.is_set or known.error is None):
                return False
            stream = self._known[key] = Stream(key, self._ports.concurrency)
            stream.bandwidth = _bytes(request.bandwidth_mib_s)
            ended = [old for old, each in self._known.items() if each.ended.is_set]
            for old in ended[: max(len(ended) - REMEMBERED_ENDED, 0)]:
                del self._known[old]
        self._ports.concurrency.spawn(
            f"{request.role}-{request.migration_id[:8]}", lambda: self._run(stream, work)
        )
        return True

    def view(self, ref: StreamsRef) -> StreamsView:
        with self._lock:
            stream = self._known.get((ref.migration_id, ref.attempt, ref.role))
        return StreamsView(known=False) if stream is None else stream.view()

    def limit(self, migration_id: str, attempt: int, bandwidth_mib_s: int | None) -> bool:
        """Hold the copy to this from now on; False when none of that attempt is known."""
        with self._lock:
            stream = self._known.get((migration_id, attempt, StreamRole.COPY))
        if stream is None:
            return False
        stream.bandwidth = _bytes(bandwidth_mib_s)
        return True

    def stop(self, migration_id: str, attempt: int, wait_s: float) -> bool:
        """End both roles' streams; whether they have ended. What had ended is forgotten: its result is
        of no use any more, and a later copy must not be taken for this one."""
        keys = [(migration_id, attempt, role) for role in StreamRole]
        with self._lock:
            mine = {key: self._known[key] for key in keys if key in self._known}
        for stream in mine.values():
            stream.stop.set()
        ended = {key for key, stream in mine.items() if stream.ended.wait(wait_s)}
        with self._lock:
            for key in ended:
                self._known.pop(key, None)
        return ended == mine.keys()

    # -- the worker

    def _run(self, stream: Stream, work: Callable[[Watching], Sequence[VolumeDigest]]) -> None:
        try:
            stream.volumes = work(Watching(self._ports, stream, self._progress))
        except MigratorError as error:
            stream.error = error
        except Exception:
            LOG.exception("%s failed in an unforeseen way", stream)
            stream.error = Broken(
                "internal", f"{stream.role} failed in an unforeseen way; the agent's log says how"
            )
        stream.ended.set()
        LOG.info("%s: ended: %s", stream, stream.error or "well")
        self._report(stream)

    def _report(self, stream: Stream) -> None:
        """Wake whoever waits; what it reads then is what counts."""
        message = TransferEnded(
            host=self._ports.settings.host,
            migration_id=stream.migration_id,
            attempt=stream.attempt,
            ok=stream.error is None,
            error=None if stream.error is None else stream.error.message,
        )
        attempt = 0
        while not (self._ports.stopping.is_set or stream.stop.is_set):
            try:
                self._ports.reports.transfer_ended(message)
                return
            except Refused as refused:
                LOG.info("%s: nobody wants to know how it ended: %s", stream, refused)
                return
            except Exception as error:
                attempt += 1
                bug = not isinstance(error, MigratorError)
                LOG.warning("%s: its end is not reported yet: %s", stream, error, exc_info=bug)
                self._ports.stopping.wait(delay(attempt, REPORT_AGAIN_S, REPORT_AGAIN_MOST_S))


class Watching:
    """What the hypervisor asks and tells of one stream: :class:`migrator.storage.ports.CopyWatch`."""

    def __init__(self, ports: AgentPorts, stream: Stream, progress: ProgressSender) -> None:
        self._ports = ports
        self._stream = stream
        self._progress = progress
        self._lock = ports.concurrency.lock()
        self._told_at: float | None = None
        self._sequence = 0

    @property
    def stopped(self) -> bool:
        return self._stream.stop.is_set or self._ports.stopping.is_set

    @property
    def bandwidth(self) -> int | None:
        return self._stream.bandwidth

    def moved(self, sample: CopySample) -> None:
        """Once a second, and the last."""
        now = self._ports.clock.monotonic()
        with self._lock:
            due = self._told_at is None or now - self._told_at >= REPORT_S
            if not due and sample.done < sample.total:
                return
            self._told_at = now
            self._sequence = max(self._sequence + 1, int(now * 1000))
            sequence = self._sequence
        self._progress.offer(
            TransferProgress(
                host=self._ports.settings.host,
                migration_id=self._stream.migration_id,
                attempt=self._stream.attempt,
                sequence=sequence,
                sample=JobSample(
                    operation=f"volume_{self._stream.role}",
                    disk_total=sample.total,
                    disk_processed=sample.done,
                    disk_remaining=max(sample.total - sample.done, 0),
                ),
            )
        )


def _bytes(mib: int | None) -> int | None:
    return None if mib is None else mib * MIB

"""Who leads what in this process, one mailbox per led migration; and how far every migration is."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from migrator.conductor.ports import RecordMark
from migrator.model import Phase, Progress
from migrator.ports import Clock, Concurrency, Inbox

REMEMBERED = 4096
"""Migrations whose progress is kept: more than a fleet has under way, so the oldest are over."""
EVERY_S = 1.0
"""So often a transfer is reported on, unless its agent says otherwise."""
MISSED = 5
"""Reports in a row that do not come before a transfer counts as silent."""


@dataclass(frozen=True)
class Wake:
    """Read the record again: something was asked."""

    why: str
    look: bool = False
    """Something happened to the guest: look at both hosts as well."""
    rescue: bool = False
    """An interrupted post-copy is to be tried again now."""
    arrived_on: str | None = None
    """A host whose agent told of the guest's arrival there, to another conductor."""


@dataclass
class _Box:
    instance_id: str
    inbox: Inbox[object]
    mark: RecordMark | None = None
    """How its record stood when its reader was last told to read it."""


@dataclass(frozen=True)
class _Heard:
    progress: Progress
    at: float
    every_s: float


class Mailroom:
    """Delivers what agents and operators say to the flow that waits for it."""

    def __init__(self, concurrency: Concurrency, clock: Clock) -> None:
        self._concurrency = concurrency
        self._clock = clock
        self._lock = concurrency.lock()
        self._boxes: dict[str, _Box] = {}
        self._of_instance: dict[str, list[_Box]] = {}
        """The same by the instance that moves: each event asks, and must not search a thousand."""
        self._heard: OrderedDict[str, _Heard] = OrderedDict()

    def open(self, migration_id: str, instance_id: str) -> Inbox[object]:
        """The migration's mailbox; made when there is none."""
        with self._lock:
            box = self._boxes.get(migration_id)
            if box is None:
                box = _Box(instance_id, self._concurrency.inbox())
                self._boxes[migration_id] = box
                self._of_instance.setdefault(instance_id, []).append(box)
            return box.inbox

    def close(self, migration_id: str, inbox: Inbox[object]) -> None:
        """Whoever reads ``inbox`` leads it no more; a mailbox opened since for another stays."""
        with self._lock:
            box = self._boxes.get(migration_id)
            if box is not None and box.inbox is inbox:
                del self._boxes[migration_id]
                of_instance = self._of_instance[box.instance_id]
                of_instance.remove(box)
                if not of_instance:
                    del self._of_instance[box.instance_id]

    def is_open(self, migration_id: str) -> bool:
        with self._lock:
            return migration_id in self._boxes

    def led(self) -> list[str]:
        """Ids of the migrations led by this process."""
        with self._lock:
            return sorted(self._boxes)

    def deliver(self, migration_id: str, item: object) -> bool:
        """False when nobody here leads it."""
        with self._lock:
            box = self._boxes.get(migration_id)
        if box is None:
            return False
        box.inbox.put(item)
        return True

    def deliver_by_instance(self, instance_id: str, item: object) -> bool:
        """To whoever leads a migration of this instance here."""
        with self._lock:
            boxes = list(self._of_instance.get(instance_id, ()))
        for box in boxes:
            box.inbox.put(item)
        return bool(boxes)

    def compare(self, marks: Sequence[RecordMark]) -> None:
        """Wake whoever leads a migration whose record has changed since, by other hands perhaps, or is
        not among those that this conductor leads any more.

        :param marks: of all it leads."""
        now = {mark.migration_id: mark for mark in marks}
        with self._lock:
            boxes = list(self._boxes.items())
        for migration_id, box in boxes:
            mark = now.get(migration_id)
            if mark is None or mark != box.mark:
                box.mark = mark
                box.inbox.put(Wake("its record has changed"))

    def report_progress(
        self, migration_id: str, progress: Progress, every_s: float = EVERY_S
    ) -> None:
        """Remember how far it is, whoever leads it: any conductor is asked to show it.

        :param every_s: seconds until the next report."""
        self.report_all({migration_id: progress}, every_s)

    def report_all(self, readings: Mapping[str, Progress], every_s: float) -> None:
        """The same of several that were heard of at once."""
        at = self._clock.monotonic()
        with self._lock:
            for migration_id, progress in readings.items():
                self._heard[migration_id] = _Heard(progress, at, every_s)
                self._heard.move_to_end(migration_id)
            while len(self._heard) > REMEMBERED:
                self._heard.popitem(last=False)

    def report_phase(self, migration_id: str, phase: Phase) -> None:
        """Remember what it is doing now."""
        heard = self._last(migration_id)
        if heard is None:
            self.report_progress(migration_id, Progress(phase))
        else:
            self.report_progress(migration_id, replace(heard.progress, phase=phase), heard.every_s)

    def progress(self, migration_id: str) -> Progress | None:
        heard = self._last(migration_id)
        return None if heard is None else heard.progress

    def is_silent(self, migration_id: str) -> bool:
        """So many reports have not come that the hosts have to be asked."""
        heard = self._last(migration_id)
        return heard is None or self._clock.monotonic() - heard.at > MISSED * heard.every_s

    def _last(self, migration_id: str) -> _Heard | None:
        with self._lock:
            return self._heard.get(migration_id)

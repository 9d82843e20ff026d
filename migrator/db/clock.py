"""The wall clock of every conductor: the database's.

Conductors take over each other's migrations and compare what another wrote: how long an attempt has
taken, until when a guest may still obey. Their machines' clocks may be hours apart.
"""

from __future__ import annotations

import logging
import threading
from datetime import datetime, timedelta

from sqlalchemy import select

from migrator.db.columns import database_now
from migrator.db.engine import Database
from migrator.errors import Transient
from migrator.ports import Clock

LOG = logging.getLogger(__name__)

READ_AGAIN_S = 60.0
"""In between it goes on with this machine's steady clock, which is not off by a millisecond by then."""


class DatabaseClock:
    """:class:`migrator.ports.Clock`; all but :meth:`now` is this machine's."""

    def __init__(self, database: Database, machine: Clock) -> None:
        self._database = database
        self._machine = machine
        self._reading = threading.Lock()
        self._read: tuple[float, datetime] | None = None
        self._tried_at = float("-inf")

    def now(self) -> datetime:
        """One caller in a while reads it; no other waits for that, unless it was never read.

        :raises Transient: it was never read, and the database is away.
        """
        never = self._read is None
        due = self.monotonic() - self._tried_at > READ_AGAIN_S
        if (never or due) and self._reading.acquire(blocking=never):
            try:
                self._read_again()
            finally:
                self._reading.release()
        assert self._read is not None
        at, told = self._read
        return told + timedelta(seconds=self.monotonic() - at)

    def _read_again(self) -> None:
        self._tried_at = self.monotonic()
        try:
            with self._database.reader() as connection:
                told = connection.execute(select(database_now())).scalar_one()
        except Transient as error:
            if self._read is None:
                raise
            LOG.info("the database's clock is read again later: %s", error)
        else:
            self._read = self.monotonic(), told

    def monotonic(self) -> float:
        return self._machine.monotonic()

    def sleep(self, seconds: float) -> None:
        self._machine.sleep(seconds)

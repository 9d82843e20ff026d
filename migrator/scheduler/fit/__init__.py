"""Whether and how a guest fits on a host: CPUs, siblings, cells, pages, QEMU's threads and devices
together. Pure and deterministic: filter and claim ask the same function and get the same answer.

``fit(topology, use, request)`` answers a :class:`migrator.model.Placement` or :class:`NoFit` with a
reason for each cell; ``take`` and ``release`` are what claims do with a placement.

Who judges many hosts keeps a :func:`room` for each and the :func:`need` of the guest, and calls
:func:`fit_room`: what a host has left is worked out once for each change of its claims.
"""

from migrator.scheduler.fit.need import Need as Need
from migrator.scheduler.fit.need import need as need
from migrator.scheduler.fit.refusing import NoFit as NoFit
from migrator.scheduler.fit.refusing import hopeless as hopeless
from migrator.scheduler.fit.room import Overcommit as Overcommit
from migrator.scheduler.fit.room import Room as Room
from migrator.scheduler.fit.room import Strategy as Strategy
from migrator.scheduler.fit.room import room as room
from migrator.scheduler.fit.search import fit as fit
from migrator.scheduler.fit.search import fit_room as fit_room
from migrator.scheduler.fit.use import release as release
from migrator.scheduler.fit.use import take as take

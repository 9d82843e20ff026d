"""What migrator knows, as frozen values. Stores take and return these; nothing here does I/O.

Units: memory in bytes unless a name ends in ``_mib``; durations in ms where the name says so,
otherwise seconds; times are timezone-aware UTC.
"""

from migrator.model.copies import *  # noqa: F403
from migrator.model.cpus import *  # noqa: F403
from migrator.model.disks import *  # noqa: F403
from migrator.model.domains import *  # noqa: F403
from migrator.model.effects import *  # noqa: F403
from migrator.model.fleet import *  # noqa: F403
from migrator.model.methods import *  # noqa: F403
from migrator.model.migrations import *  # noqa: F403
from migrator.model.parts import *  # noqa: F403
from migrator.model.placement import *  # noqa: F403
from migrator.model.profiles import *  # noqa: F403
from migrator.model.requests import *  # noqa: F403
from migrator.model.sending import *  # noqa: F403
from migrator.model.steering import *  # noqa: F403
from migrator.model.topology import *  # noqa: F403
from migrator.model.words import *  # noqa: F403

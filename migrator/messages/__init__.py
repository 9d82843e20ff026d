"""What crosses a wire: RPC requests and replies, the HTTP API's documents.

Rules: one request and one reply per method; fields are only ever added, always with a default; an
unknown field is ignored, an unknown version refused. ``tests/unit/test_messages.py`` pins a
fingerprint of every type, so that a change that is not additive cannot pass unnoticed.
"""

from migrator.messages.agent_commands import *  # noqa: F403
from migrator.messages.agent_reads import *  # noqa: F403
from migrator.messages.base import *  # noqa: F403
from migrator.messages.bases import *  # noqa: F403
from migrator.messages.claims import *  # noqa: F403
from migrator.messages.cold import *  # noqa: F403
from migrator.messages.counted import *  # noqa: F403
from migrator.messages.devices import *  # noqa: F403
from migrator.messages.methods import *  # noqa: F403
from migrator.messages.operators import *  # noqa: F403
from migrator.messages.profiles import *  # noqa: F403
from migrator.messages.reports import *  # noqa: F403
from migrator.messages.steering import *  # noqa: F403
from migrator.messages.storage import *  # noqa: F403
from migrator.messages.traces import *  # noqa: F403
from migrator.messages.verification import *  # noqa: F403

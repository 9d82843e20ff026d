"""What is asked of a transfer while it runs, and how a broken post-copy goes on."""

from __future__ import annotations

from migrator.messages.agent_commands import Command, TransferPlan
from migrator.messages.base import Message
from migrator.messages.operators import MigrationView
from migrator.model import DomainView, StandingAsks, TransferPolicy


class ForceComplete(Message, frozen=True):
    """Bring a migration to its end at once; ``method`` is auto, postcopy, downtime or pause."""

    id: str
    method: str = "auto"
    by: str = "operator"


class ForceAnswer(Message, frozen=True):
    """``accepted`` when it has begun, ``deferred`` when its moment has yet to come; ``reason`` says
    which. A refusal is an error."""

    result: str
    reason: str
    migration: MigrationView


class Tune(Message, frozen=True):
    """Other limits for one migration, at once or when its transfer begins; MiB/s, 0 is no limit."""

    id: str
    bandwidth_mib_s: int | None = None
    postcopy_bandwidth_mib_s: int | None = None
    max_downtime_ms: int | None = None
    by: str = "operator"


class TuneAnswer(Message, frozen=True):
    """``applied`` to a transfer that runs, or ``kept`` for the one that will."""

    result: str
    migration: MigrationView


class RescueMigration(Message, frozen=True):
    """Try to let a broken post-copy go on, now."""

    id: str
    by: str = "operator"


class RescueAnswer(Message, frozen=True):
    """``accepted`` when a try begins, ``already`` while pages flow."""

    result: str
    migration: MigrationView


class Steer(Command, frozen=True):
    """All that has been asked of the transfer so far, and what its monitor decides by. Sent again
    whenever it has changed, and to every new agent process, which knows none of it."""

    asks: StandingAsks
    policy: TransferPolicy | None = None


class Steered(Message, frozen=True):
    """What becomes of the force-complete that was asked; of the rest there is nothing to say.

    ``none`` when none was asked, ``accepted`` when it has begun, ``deferred`` when its moment has yet to
    come, ``refused`` when this transfer cannot be ended so, ``ended`` when nothing runs any more.
    """

    result: str
    why: str = ""


class ResumePostcopy(Command, frozen=True):
    """Let a broken post-copy go on; over other addresses if the plan says so."""

    plan: TransferPlan
    break_off: bool = False
    """The destination knows that the connection is dead: end the source's half of it first."""


class PostcopyResumed(Message, frozen=True):
    """How the source looks once pages flow again, or once it has nothing left to send."""

    view: DomainView

"""For how long a guest stood still, by one clock."""

from __future__ import annotations

from migrator.conductor.blackouts import Blackouts
from migrator.messages import DomainEvent
from migrator.model import DomainState, DomainView
from migrator.threads import Threads


class Hands:
    """A clock that a test moves."""

    at = 100.0

    def monotonic(self) -> float:
        return self.at


def heard(clock: Hands, *events: tuple[float, str, str, str, int]) -> Blackouts:
    """(at, host, event, detail, held ms)."""
    blackouts = Blackouts(Threads(), clock)  # type: ignore[arg-type]
    for at, host, event, detail, held_ms in events:
        clock.at = at
        view = DomainView(DomainState.RUNNING)
        blackouts.hear(
            DomainEvent(
                host=host,
                incarnation="i",
                instance_id="g",
                event=event,
                detail=detail,
                view=view,
                held_ms=held_ms,
            )
        )
    return blackouts


def test_it_lasts_from_the_pause_to_the_first_instruction_over_there() -> None:
    blackouts = heard(
        Hands(),
        (10.00, "h1", "suspended", "migrated", 0),
        (10.25, "h2", "resumed", "postcopy", 0),
        (19.00, "h2", "resumed", "migrated", 0),
    )
    assert blackouts.of("g", "h1", "h2") == 250


def test_the_time_an_agent_held_an_event_back_is_not_the_guests() -> None:
    blackouts = heard(
        Hands(),
        (10.5, "h1", "suspended", "migrated", 500),
        (10.3, "h2", "resumed", "migrated", 100),
    )
    assert blackouts.of("g", "h1", "h2") == 200


def test_an_earlier_move_says_nothing_about_this_one() -> None:
    blackouts = heard(
        Hands(),
        (10.0, "h1", "suspended", "migrated", 0),
        (10.1, "h2", "resumed", "migrated", 0),
        (20.0, "h2", "suspended", "migrated", 0),
    )
    assert blackouts.of("g", "h2", "h1") is None
    assert blackouts.of("g", "h1", "h2") == 100
    assert blackouts.of("nobody", "h1", "h2") is None

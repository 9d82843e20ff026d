"""A migration's progress on stderr: a living line on a terminal, plain lines anywhere else.

Never a bar: a guest that writes makes the remaining bytes grow again, and a bar that runs backwards
explains nothing. What is shown is the phase, what is left, how fast it goes and how fast the guest
undoes it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from migrator.cli import words
from migrator.cli.base import say
from migrator.cli.follow import Away, Event, View

if TYPE_CHECKING:
    from rich.text import Text

PLAIN_EVERY_S = 5.0
"""At most one plain line in this time while the phase stays the same."""

WORTH_SAYING_S = 2.0
"""From which on it is said how long a pass over the memory will last."""

NOT_CONVERGING = 0.9
"""Share of the sending rate from which on the guest's writing leaves nothing to gain."""

AWAY = "the service does not answer; the migration goes on"

_STATES = {
    "queued": "waiting in the queue",
    "scheduling": "looking for a place",
    "claimed": "place claimed on {destination}",
    "preparing": "preparing {destination}",
    "postcopy_paused": "paused: the guest waits for its memory",
    "rolling_back": "rolling back",
    "switched": "the guest runs on {destination}; finishing",
}
_PHASES = {
    "disk": "disks",
    "memory": "memory",
    "switchover": "switching over",
    "postcopy": "the guest runs on {destination}; fetching its memory",
}


class Screen(Protocol):
    """Where progress is shown."""

    def show(self, view: dict[str, Any]) -> None:
        """The migration looks like this now."""
        ...

    def away(self) -> None:
        """Nobody can say how it looks now."""
        ...

    def close(self) -> None:
        """Leave the terminal as it should stay."""
        ...


def watch(updates: Iterable[Event | View | Away]) -> dict[str, Any]:
    """Show every update; the migration as it ended."""
    screen: Screen = _Living() if sys.stderr.isatty() else _Plain()
    ended: dict[str, Any] = {}
    try:
        for update in updates:
            if isinstance(update, View):
                ended = update.data
                if not update.ended:
                    screen.show(ended)
            elif isinstance(update, Away):
                screen.away()
    finally:
        screen.close()
    return ended


def stage(view: dict[str, Any]) -> str:
    """What the migration is doing, in a few words."""
    state, phase = view["state"], view["phase"]
    text = _STATES.get(state) or _PHASES.get(phase) or words.plain(phase or state)
    return text.format(destination=words.plain(view["destination"]))


def details(view: dict[str, Any]) -> str:
    """The figures that belong to that stage, those first that must not be cut off; empty where there
    are none yet."""
    if view["state"] == "queued":
        return place_in_queue(view["queue"]) if view["queue"] else ""
    phase = view["phase"]
    if phase == "disk":
        return _list(_left(view, "disk"), _speed(view))
    if phase not in ("memory", "switchover", "postcopy"):
        return ""
    writing = () if phase == "postcopy" else (_dirty(view), _converging(view), _pass(view))
    return _list(_left(view, "memory"), _speed(view), *writing)


def brief(view: dict[str, Any]) -> str:
    """The one thing to know of it beside others."""
    if view["state"] == "running":
        left = view["disk_remaining" if view["phase"] == "disk" else "memory_remaining"]
        if left is not None:
            return _list(_converging(view), f"{words.size(left)} left")
    return details(view) or stage(view)


def summary(view: dict[str, Any]) -> str:
    """How it ended, in one line."""
    name = f"{words.printable(view['instance'])}: "
    total = f" in {words.duration_ms(view['total_ms'])}" if view["total_ms"] is not None else ""
    if view["state"] != "completed":
        stays = "" if view["state"] == "lost" else f", still on {words.plain(view['source'])}"
        return f"{name}{view['state']}{total}{stays}, migration {words.short_id(view['id'])}"
    paused = view["downtime_ms"]
    downtime = f", downtime {words.duration_ms(paused)}" if paused is not None else ""
    return f"{name}completed{total}{downtime}, now on {words.plain(view['destination'])}"


def title(view: dict[str, Any]) -> str:
    """Which migration this is."""
    return f"{words.printable(view['instance'])}: {route(view)}, migration {words.short_id(view['id'])}"


def route(view: dict[str, Any]) -> str:
    """From where to where, as far as that is settled."""
    source = words.plain(view["source"])
    if view["destination"] is None:
        return f"from {source}"
    return f"{source} -> {words.plain(view['destination'])}"


def place_in_queue(place: dict[str, Any]) -> str:
    """Where it stands in the line, and the limit that holds it."""
    held = f" (limit {words.printable(place['limit'])})" if place["limit"] else ""
    return f"number {place['position']}{held}"


def _list(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _left(view: dict[str, Any], what: str) -> str:
    remaining, total = view[f"{what}_remaining"], view[f"{what}_total"]
    if remaining is None:
        return ""
    if not total:
        return f"{words.size(remaining)} left"
    left, of = words.size(remaining), words.size(total)
    number, _, unit = left.partition(" ")
    return f"{number if of.endswith(f' {unit}') else left} of {of} left"


def _speed(view: dict[str, Any]) -> str:
    return words.rate(view["bandwidth"]) if view["bandwidth"] else ""


def _dirty(view: dict[str, Any]) -> str:
    return "" if view["dirty_rate"] is None else f"dirty {words.rate(view['dirty_rate'])}"


def _pass(view: dict[str, Any]) -> str:
    if not view["iteration"]:
        return ""
    text = f"pass {view['iteration']}"
    left, speed = view["memory_remaining"], view["bandwidth"]
    lasts = left / speed if left and speed else 0
    return f"{text} ({words.duration_s(lasts)})" if lasts >= WORTH_SAYING_S else text


def _converging(view: dict[str, Any]) -> str:
    dirty, speed = view["dirty_rate"], view["bandwidth"]
    hopeless = dirty and speed and dirty >= NOT_CONVERGING * speed
    return "NOT CONVERGING" if hopeless and view["phase"] != "postcopy" else ""


class _Elapsed:
    """Since the migration was asked for."""

    def __init__(self) -> None:
        self._began: float | None = None

    def of(self, view: dict[str, Any]) -> None:
        if self._began is None:
            age = (datetime.now(UTC) - words.parse_time(view["created_at"])).total_seconds()
            self._began = time.monotonic() - max(age, 0.0)

    def __str__(self) -> str:
        return words.clock(0 if self._began is None else time.monotonic() - self._began)


class _Plain:
    """A line when the stage changes, when its first figures are known, and now and then."""

    def __init__(self) -> None:
        self._elapsed = _Elapsed()
        self._stage = ""
        self._figures = ""
        self._said_at = 0.0

    def show(self, view: dict[str, Any]) -> None:
        self._elapsed.of(view)
        if not self._stage:
            say(title(view))
        now, here, figures = time.monotonic(), stage(view), details(view)
        nothing_new = bool(self._figures) or not figures
        if here == self._stage and nothing_new and now - self._said_at < PLAIN_EVERY_S:
            return
        say(f"{self._elapsed!s:>7}  {here}{': ' + figures if figures else ''}")
        self._stage, self._figures, self._said_at = here, figures, now

    def away(self) -> None:
        if self._stage != AWAY:
            say(f"{self._elapsed!s:>7}  {AWAY}")
            self._stage = AWAY

    def close(self) -> None:
        """Nothing is left to do: lines stay as they are."""


class _Living:
    """The stages that have passed as lines, the present one alive below them."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._elapsed = _Elapsed()
        self._view: dict[str, Any] | None = None
        self._away = False
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(
            get_renderable=self._render,
            console=self._console,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def show(self, view: dict[str, Any]) -> None:
        self._elapsed.of(view)
        self._away = False
        before, self._view = self._view, view
        if before is None:
            self._console.print(title(view), style="bold", markup=False)
        elif stage(before) != stage(view):
            self._console.print(self._line(before, "dim"), no_wrap=True, overflow="ellipsis")

    def away(self) -> None:
        self._away = True

    def close(self) -> None:
        if self._view is not None:
            self._console.print(self._line(self._view, "dim"), no_wrap=True, overflow="ellipsis")
        self._live.stop()

    def _render(self) -> Text:
        from rich.text import Text

        return Text() if self._view is None else self._line(self._view, "")

    def _line(self, view: dict[str, Any], style: str) -> Text:
        from rich.text import Text

        line = Text(no_wrap=True, overflow="ellipsis", style=style)
        line.append(f"{self._elapsed!s:>7}  ", style="cyan")
        line.append(AWAY if self._away else stage(view), style="" if style else "bold")
        figures = details(view)
        if figures and not self._away:
            line.append(f": {figures}")
        return line

"""Guests and links, from a seed."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from migrator.model import DirtyRate

MEASURED_S = 1.0
SAMPLING = 0.05
"""By so much a measurement that samples pages is off."""
GB = 1e9
SIZES = (8, 16, 32, 64, 128, 256, 512)
"""GB of memory."""
LINKS = (10, 25, 40, 100)
"""Gb/s."""
SHORTEST_S = 2.0
"""A first pass that is shorter ends before anybody has decided anything."""
PAIRS = [
    (size * GB, link * GB / 8) for size in SIZES for link in LINKS if size * 8 / link >= SHORTEST_S
]
RATIOS = (0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.2, 1.5, 2.0, 3.0)
"""What the guest writes over what the link carries. Around 1 it takes a prophet."""
CALM = 0.2
"""What a bursty guest writes when it is calm, as a share of its mean; bursts make up for it."""


@dataclass(frozen=True)
class Writing:
    """How fast a guest writes: ``rate`` bytes/s on average, in bursts of half of each ``period``."""

    rate: float
    period: float = 0.0
    """Seconds; 0 for a steady one."""
    phase: float = 0.0

    def between(self, start: float, end: float) -> float:
        """Bytes written from ``start`` to ``end``."""
        if self.period == 0.0:
            return self.rate * (end - start)
        return self._until(end) - self._until(start)

    def _until(self, at: float) -> float:
        whole, part = divmod(at + self.phase, self.period)
        half = self.period / 2
        high, low = (2 - CALM) * self.rate, CALM * self.rate
        within = high * min(part, half) + low * max(0.0, part - half)
        return whole * self.rate * self.period + within


@dataclass(frozen=True)
class Scenario:
    """One guest over one link. bytes and bytes/s."""

    name: str
    memory: float
    working_set: float
    writing: Writing
    link: float
    budget_ms: int = 500

    @property
    def first_pass_s(self) -> float:
        return self.memory / self.link

    def measured(self) -> DirtyRate:
        """What libvirt would have found just before the move, sampling pages for a second."""
        written = self.writing.between(-MEASURED_S, 0.0)
        dirtied = self.working_set * -math.expm1(-written / self.working_set)
        off = random.Random(self.name).uniform(1 - SAMPLING, 1 + SAMPLING)
        return DirtyRate(MEASURED_S, int(dirtied * off))


def scenarios(seed: int, count: int) -> list[Scenario]:
    """Half of them steady, half bursty; sizes, links, working sets and rates over their whole range."""
    dice = random.Random(seed)
    return [_one(dice, number) for number in range(count)]


def _one(dice: random.Random, number: int) -> Scenario:
    memory, link = dice.choice(PAIRS)
    share = math.exp(dice.uniform(math.log(0.02), math.log(0.5)))
    ratio = dice.choice(RATIOS) * dice.uniform(0.97, 1.03)
    bursty = number % 2 == 1
    period = min(dice.uniform(0.5, 5.0), memory / link / 6) if bursty else 0.0
    writing = Writing(ratio * link, period, dice.uniform(0.0, 5.0))
    name = f"{memory / GB:.0f} GB, {link * 8 / GB:.0f} Gb/s, W {share:.0%}, D/B {ratio:.2f}, " + (
        f"bursts of {period / 2:.1f} s" if bursty else "steady"
    )
    return Scenario(name, memory, share * memory, writing, link)

"""Many sidecars by a clock that is simulated: each is the product's own schedule, STS is a bucket of tokens.

It records when STS was called, and which credentials each sidecar had when.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from emulator.sidecar.credentials import Credentials, Failure, Lifecycle

if TYPE_CHECKING:
    import random

THROTTLED = Failure("Throttling", "Rate exceeded", 400)
LIFE_SECONDS = 3600
ANSWER_SECONDS = 0.2  # that an exchange takes


@dataclass
class Bucket:
    """What STS lets through: `rate` calls a second, `burst` at once; it is full at first."""

    rate: float
    burst: float
    level: float = 0.0
    at: float = 0.0

    def take(self, now: float) -> bool:
        """Tell whether a call is let through."""
        self.level = min(self.burst, self.level + (now - self.at) * self.rate)
        self.at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


@dataclass
class Simulation:
    """Sidecars that start at `starts`; STS lets through what `open_bucket` does, in `spell` what `tight_bucket` does.

    `calls` holds the time of each call of STS and whose it was; `lacking` for how many seconds each had none whose
    credentials ended before there were others; `healed_at` when those succeeded again that the spell had left without;
    `first_at` when each had its first, `empty` how many have none at the end.
    """

    starts: list[float]
    spell: tuple[float, float]
    open_bucket: Bucket
    tight_bucket: Bucket
    chance: random.Random
    calls: list[tuple[float, int]] = field(default_factory=list)
    lacking: list[float] = field(default_factory=list)
    healed_at: dict[int, float] = field(default_factory=dict)
    first_at: dict[int, float] = field(default_factory=dict)
    empty: int = 0

    def run(self, until: float) -> None:
        """Let time pass."""
        lives = [Lifecycle(LIFE_SECONDS, start) for start in self.starts]
        due = [(start, number) for number, start in enumerate(self.starts)]
        heapq.heapify(due)
        while due and due[0][0] < until:
            now, number = heapq.heappop(due)
            life = lives[number]
            assert life.is_due(now)
            life.start()
            then = now + ANSWER_SECONDS
            if self._is_let_through(now, number):
                self._succeed(life, number, then)
            else:
                life.fail(THROTTLED, then, self.chance.random())
            heapq.heappush(due, (life.next_exchange_at, number))
        self.empty = sum(life.valid(until) is None for life in lives)

    def _is_let_through(self, now: float, number: int) -> bool:
        self.calls.append((now, number))
        begins, ends = self.spell
        return (self.tight_bucket if begins <= now < ends else self.open_bucket).take(now)

    def _succeed(self, life: Lifecycle, number: int, now: float) -> None:
        if life.credentials is not None and now > life.credentials.expires_at:
            self.lacking.append(now - life.credentials.expires_at)
        self.first_at.setdefault(number, now)
        if life.failures and now >= self.spell[1]:
            self.healed_at[number] = now
        life.succeed(Credentials("ASIA", "secret", "token", now + LIFE_SECONDS, now), now, self.chance.random())

    def per_second(self, begins: float, ends: float) -> list[int]:
        """Return how many calls there were in each second from one time to another."""
        counts = [0] * round(ends - begins)
        for at, _ in self.calls:
            if begins <= at < ends:
                counts[int(at - begins)] += 1
        return counts

    def per_emulator(self, begins: float, ends: float) -> list[int]:
        """Return how many calls each made from one time to another."""
        counts = [0] * len(self.starts)
        for at, number in self.calls:
            counts[number] += begins <= at < ends
        return counts

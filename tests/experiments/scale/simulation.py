"""Pods that come, go, and refresh by the product's own schedule, one by one.

It returns how many calls STS received in each second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.sidecar.credentials import Credentials, Lifecycle

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

FOREVER = float("inf")
WINDOW_SECONDS = 10  # a rate is one over so many seconds: quotas have a burst, and chance has spikes

Pod = tuple[float, float]  # when it comes and when it goes


def calls(pods: Iterable[Pod], duration_seconds: int, until: int, chance: random.Random) -> list[int]:
    """Return the calls in each second from 0 to `until`; STS answers each."""
    counts = [0] * until
    for comes, goes in pods:
        life = Lifecycle(duration_seconds, comes)
        while (now := life.next_exchange_at) < min(goes, until):
            if now >= 0:
                counts[int(now)] += 1
            life.succeed(Credentials("", "", "", now + duration_seconds, now), now, chance.random())
    return counts


def settled(count: int, duration_seconds: int, chance: random.Random) -> list[Pod]:
    """Return pods that came long ago, at times of their own."""
    return [(chance.uniform(-2, -1) * duration_seconds, FOREVER) for _ in range(count)]


def replaced(old: list[Pod], per_second: float) -> list[Pod]:
    """Return old and new pods of a roll-out: from 0 on, one by one, each old one goes and a new one comes."""
    gone = [(comes, number / per_second) for number, (comes, _) in enumerate(old)]
    return gone + [(goes, FOREVER) for _, goes in gone]


def rates(counts: list[int], scale: float = 1.0) -> list[float]:
    """Return calls per second, averaged over windows; `scale`: how many pods each simulated one stands for."""
    windows = range(0, len(counts) - WINDOW_SECONDS + 1, WINDOW_SECONDS)
    return [sum(counts[at : at + WINDOW_SECONDS]) / WINDOW_SECONDS * scale for at in windows]

"""A spell of something broken, longer than the credentials live, and its end: what the clients saw of it.

Goes in: a world, what breaks in it and how that ends. Comes out: what was served until when, and when it healed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.faults.lab import Lab
from tests.wire.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

HEAL_LIMIT_SECONDS = 90.0


@dataclass(frozen=True)
class Fault:
    """What breaks: `begin` breaks it and `end` mends it, in a world where `start` has started the sidecar.

    `code` is what the sidecar calls it. `heals_within`: the bound of the time from the end to the first credentials.
    """

    code: str
    begin: Callable[[Lab], object]
    end: Callable[[Lab], object]
    heals_within: int
    start: Callable[[Lab], object] = Lab.start


@dataclass(frozen=True)
class Outcome:
    """What was seen.

    `early_seconds`: by how much the old credentials' last answer was before their end; `statuses` and `words`: the
    answers after that; `exchanges`: how many were tried; `slowest_seconds`: the slowest answer of all.
    """

    life_seconds: float
    broken_seconds: float
    early_seconds: float
    statuses: set[int]
    words: set[str]
    exchanges: int
    heal_seconds: float
    slowest_seconds: float


def cast(lab: Lab, fault: Fault, after_seconds: float) -> Outcome:
    """Break it until the credentials have been dead for `after_seconds`; mend it; wait until all is as before."""
    try:
        fault.start(lab)
        return _watch(lab, fault, after_seconds)
    finally:
        lab.close()


def _watch(lab: Lab, fault: Fault, after_seconds: float) -> Outcome:
    wait_until(lambda: not lab.emulator.children(), "the end of the first exchange")
    descriptors, exchanges = lab.descriptors(), lab.exchanges()
    dead_at = max(issued.expires_at for issued in lab.sts.issued.values())
    begun_at = time.time()
    fault.begin(lab)
    try:
        while time.time() < dead_at + after_seconds:
            time.sleep(0.1)  # how long it lasts is what is tried
        seen = lab.witness.since(begun_at)
        exchanges = lab.exchanges() - exchanges
    finally:
        fault.end(lab)
    ended_at = time.time()
    wait_until(lambda: lab.witness.seen[-1].status == 200, f"healing: {lab.emulator.log()}", HEAL_LIMIT_SECONDS)
    heal_seconds = time.time() - ended_at
    wait_until(lambda: not lab.emulator.children(), "no child")
    wait_until(lambda: len(lab.descriptors()) <= len(descriptors), "no descriptor more than before")
    dead = [each for each in seen if each.asked_at >= dead_at]
    return Outcome(
        lab.sts.life_seconds,
        ended_at - begun_at,
        dead_at - max(each.asked_at for each in seen if each.status == 200),
        {each.status for each in dead},
        {each.word for each in dead},
        exchanges,
        heal_seconds,
        max(each.came_at - each.asked_at for each in seen),
    )

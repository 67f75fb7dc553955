"""A spell of something broken, longer than the credentials live, and its end: what the clients saw of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.experiments.faults.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.reliability.figures import Figures

# Each in the short form, which shares the machine with other tests, and in the full one.
AFTER_SECONDS = {False: 1, True: 10}  # how long it outlives the credentials
ANSWERS_AFTER = 3  # at least, to the witness, in that time
EARLY_SECONDS = {False: 4.0, True: 0.5}  # before their end, of the last answer with them
SLOWEST_SECONDS = {False: 15.0, True: 0.65}  # an answer: 0.4 of waiting for an exchange, and 0.25
HEAL_FACTOR = {False: 6, True: 1}
HEAL_LIMIT_SECONDS = 200.0
# Said while the first exchange is under way that fails, and of those that a slow machine does not do in time.
ALSO_TOLD = {"NoCredentials", "Timeout", "ExchangeDied"}


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
    early_seconds: float = 0.0  # more that the last answer with old credentials may be before their end

    def __call__(self, lab: Lab, *, full: bool) -> Outcome:
        """Break it until the credentials are dead, and longer; mend it; wait until all is as before."""
        self.start(lab)
        descriptors, exchanges = lab.descriptors(), lab.exchanges()
        dead_at = max(issued.expires_at for issued in lab.sts.issued.values())
        begun_at = time.time()
        self.begin(lab)
        try:
            while time.time() < dead_at + AFTER_SECONDS[full] or len(lab.witness.since(dead_at)) < ANSWERS_AFTER:
                time.sleep(0.1)  # how long it lasts is what is tried
            seen = lab.witness.since(begun_at)
            exchanges = lab.exchanges() - exchanges
        finally:
            self.end(lab)
        ended_at = time.time()
        lab.wait(lambda: lab.witness.seen[-1].status == 200, "healing", HEAL_LIMIT_SECONDS)
        heal_seconds = time.time() - ended_at
        lab.wait(lambda: not lab.emulator.children(), "no child")
        lab.wait(lambda: lab.descriptors() <= descriptors, "no descriptor more than before")
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


def judge(outcome: Outcome, fault: Fault, figures: Figures, *, full: bool) -> None:
    """Hold what was seen against what must hold in any spell."""
    codes = {word.partition(":")[0] for word in outcome.words}
    early_seconds = EARLY_SECONDS[full] + fault.early_seconds
    heals_within = fault.heals_within * HEAL_FACTOR[full]
    figures.add("credentials live for", outcome.life_seconds, "s")
    figures.add("it was broken for", outcome.broken_seconds, "s")
    figures.add("exchanges tried meanwhile", outcome.exchanges)
    figures.add("old ones served last, before their end", outcome.early_seconds, "s", f"{early_seconds:g} s")
    figures.add("then answered", f"503 {', '.join(sorted(codes))}", bound=f"503 {fault.code}")
    figures.add("slowest answer", outcome.slowest_seconds, "s", f"{SLOWEST_SECONDS[full]:g} s")
    figures.add("healed after its end within", outcome.heal_seconds, "s", f"{heals_within} s")

    assert -0.1 < outcome.early_seconds <= early_seconds, outcome
    assert {503} == outcome.statuses, outcome
    assert codes <= {fault.code} | ALSO_TOLD, codes
    assert fault.code in codes or not full, outcome
    assert outcome.slowest_seconds <= SLOWEST_SECONDS[full], outcome
    assert outcome.heal_seconds <= heals_within, outcome

"""STS throttles a thousand sidecars for half an hour of simulated time."""

from __future__ import annotations

import random
import statistics
from typing import TYPE_CHECKING

import pytest

from tests.experiments.faults.emulators import LIFE_SECONDS, Bucket, Simulation

if TYPE_CHECKING:
    from tests.support.reliability.figures import Figures

EMULATORS = 1000
SPELL_SECONDS = 1800
SETTLED_SECONDS = 300  # from then on the back-off of each sidecar that is throttled is at its most
AFTER_SECONDS = 2 * LIFE_SECONDS
STARTS = {  # when the sidecars start, before the spell
    "at-the-start": lambda chance: [chance.random() for _ in range(EMULATORS)],
    "while-running": lambda chance: [chance.uniform(-2 * LIFE_SECONDS, -LIFE_SECONDS) for _ in range(EMULATORS)],
}
RUNS = {False: 1, True: 10}
OPEN = 100.0  # calls a second that STS lets through when all is well, and as many at once
TIGHT = {"nothing": 0.0, "one-a-second": 1.0}

FIRST_SECOND = 2 * EMULATORS  # all at once, and the first tries again
FIRST_MINUTE = 15
SETTLED_PER_SECOND = 1.1 * EMULATORS / 30  # each waits for up to 60 s, 30 on average
SETTLED_PEAK = 2 * EMULATORS / 30
SETTLED_PER_MINUTE = 3.5
HEALED_SECONDS = 60 + EMULATORS / OPEN
LACKING = EMULATORS // 100  # whose refresh was due just when it began
LACKING_SECONDS = 61  # until they try again after its end
LATER_PEAK = 20


@pytest.mark.parametrize("lets_through", TIGHT)
@pytest.mark.parametrize("starts", STARTS)
def test_throttling(starts: str, lets_through: str, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """For 30 minutes of simulated time STS throttles 1,000 sidecars, each with the product's own schedule.

    The calls that reach it stay under a stated rate, without a spike. Of those that have an hour's credentials, which
    last through it, few lack any, and not for long. Soon after its end all have new ones, and are spread again.
    """
    runs = [simulate(starts, lets_through, seed) for seed in range(RUNS[full])]
    settled = [run.per_second(SETTLED_SECONDS, SPELL_SECONDS) for run in runs]
    minutes = (SPELL_SECONDS - SETTLED_SECONDS) / 60
    first_second = max(run.per_second(0, 1)[0] for run in runs)
    first_minute = max(max(run.per_emulator(0, 60)) for run in runs)
    mean = max(statistics.mean(each) for each in settled)
    peak = max(max(each) for each in settled)
    busiest = max(max(run.per_emulator(SETTLED_SECONDS, SPELL_SECONDS)) for run in runs) / minutes
    healed = max(max(run.healed_at.values(), default=SPELL_SECONDS) for run in runs) - SPELL_SECONDS
    lacking = max(len(run.lacking) for run in runs)
    longest = max((seconds for run in runs for seconds in run.lacking), default=0.0)
    later = max(max(run.per_second(SPELL_SECONDS + 120, SPELL_SECONDS + AFTER_SECONDS)) for run in runs)
    figures.add("simulations, each with other chances", len(runs))
    figures.add("calls in the first second", first_second, bound=f"{FIRST_SECOND:,}")
    figures.add("calls of one sidecar in the first minute", first_minute, bound=f"{FIRST_MINUTE}")
    figures.add("calls a second from minute 5 to 30", mean, bound=f"{SETTLED_PER_SECOND:.1f}")
    figures.add("busiest second of these", peak, "calls", f"{SETTLED_PEAK:.1f}")
    figures.add("busiest sidecar of these", busiest, "calls a minute", f"{SETTLED_PER_MINUTE:g}")
    figures.add("sidecars whose credentials ended before", lacking, bound=f"{LACKING}")
    figures.add("longest time without", longest, "s", f"{LACKING_SECONDS} s")
    figures.add("sidecars that throttling left without new ones", max(len(run.healed_at) for run in runs))
    figures.add("all of them healed after its end", healed, "s", f"{HEALED_SECONDS:g} s")
    figures.add("sidecars without credentials at the end", max(run.empty for run in runs), bound="0")
    figures.add("busiest second of the two hours after", later, "calls", f"{LATER_PEAK}")

    assert first_second <= FIRST_SECOND
    assert first_minute <= FIRST_MINUTE
    assert mean <= SETTLED_PER_SECOND
    assert peak <= SETTLED_PEAK
    assert busiest <= SETTLED_PER_MINUTE
    assert lacking <= LACKING
    assert longest <= LACKING_SECONDS
    assert healed <= HEALED_SECONDS
    assert [0] * len(runs) == [run.empty for run in runs]
    assert later <= LATER_PEAK


def simulate(starts: str, lets_through: str, seed: int) -> Simulation:
    """Return a simulation whose spell is from 0 to SPELL_SECONDS."""
    chance = random.Random(seed)  # noqa: S311 - it is to be repeatable
    rate = TIGHT[lets_through]
    buckets = Bucket(OPEN, OPEN, at=-AFTER_SECONDS), Bucket(rate, 1)
    simulation = Simulation(STARTS[starts](chance), (0, SPELL_SECONDS), *buckets, chance)
    simulation.run(SPELL_SECONDS + AFTER_SECONDS)
    return simulation

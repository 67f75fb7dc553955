"""Calls of STS by 200,000 pods, each with the product's own schedule; the short form has a tenth of them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.experiments.faults.emulators import Bucket, Simulation
from tests.experiments.scale import plots
from tests.experiments.scale.assumptions import ASSUMED, PUBLISHED, values
from tests.experiments.scale.model import exchanges_per_second, token_requests_per_second
from tests.experiments.scale.simulation import WINDOW_SECONDS, Pod, calls, rates, replaced, settled

if TYPE_CHECKING:
    from tests.support.reliability.figures import Figures

QUOTA = PUBLISHED.sts_calls_per_second.value
DURATION = values()["sts"]["durationSeconds"]
HORIZON = {True: 4 * 3600, False: 2 * 3600}
SHARE = 10  # of the pods in the short form: one stands for so many
CREATIONS = (ASSUMED.creations_per_second.value, ASSUMED.creations_per_second_raised.value)
ZONES = {"zone": 1 / ASSUMED.zones.value, "cluster": 1.0}

SETTLED_SHARE_OF_QUOTA = 0.3
PEAK_SHARE_OF_QUOTA = {CREATIONS[0]: 0.5, CREATIONS[1]: 1.1}
ECHO_SHARE_OF_QUOTA = 0.9
OFFERED_SHARE_OF_QUOTA = 12
HEALED_SECONDS = 300
HALF_SECONDS = 120


def size(*, full: bool) -> tuple[int, float]:
    """Return how many pods are simulated, and how many each stands for."""
    scale = 1 if full else SHARE
    return int(ASSUMED.injected_pods.value) // scale, float(scale)


def test_settled(figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """200,000 pods that came at times of their own each refresh at 40 to 50 % of an hour's credentials.

    STS is called at a rate that stays near its mean, less than a third of what AWS lets through, for hours.
    """
    count, scale = size(full=full)
    chance = random.Random(1)  # noqa: S311 - a simulation
    curve = rates(calls(settled(count, DURATION, chance), DURATION, HORIZON[full], chance), scale)
    mean, peak = sum(curve) / len(curve), max(curve)
    formula = exchanges_per_second(ASSUMED.injected_pods.value, DURATION)
    bound = SETTLED_SHARE_OF_QUOTA * QUOTA
    figures.add("pods simulated", count)
    figures.add("calls of STS, mean", mean, "/s", f"{bound:g}/s")
    figures.add(f"calls of STS, busiest {WINDOW_SECONDS} s", peak, "/s", f"{bound:g}/s")
    figures.add("what the formula says", formula, "/s", "the mean within 5 %")
    figures.add("quota of STS, per account and Region", QUOTA, "/s")

    assert abs(mean / formula - 1) < 0.05
    assert peak <= bound


@pytest.mark.parametrize("per_second", CREATIONS)
@pytest.mark.parametrize("part", ZONES)
def test_replaced(part: str, per_second: float, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """All pods of a zone, or of the cluster, are created again at the rate at which Kubernetes creates pods.

    While it lasts STS is called at that rate and by those that are still there; after it the refreshes come back as an
    echo, lower and wider each time. Both stay under their bounds.
    """
    count, scale = size(full=full)
    chance = random.Random(1)  # noqa: S311 - likewise
    curve = rates(
        calls(restarted(count, ZONES[part], per_second / scale, chance), DURATION, HORIZON[full], chance), scale
    )
    lasts = ASSUMED.injected_pods.value * ZONES[part] / per_second
    after = curve[int(lasts / WINDOW_SECONDS) + 1 :]
    bound, echo = PEAK_SHARE_OF_QUOTA[per_second] * QUOTA, ECHO_SHARE_OF_QUOTA * QUOTA
    figures.add("pods created anew", int(ASSUMED.injected_pods.value * ZONES[part]))
    figures.add("it lasts", lasts / 60, "minutes")
    figures.add(f"calls of STS, busiest {WINDOW_SECONDS} s", max(curve), "/s", f"{bound:g}/s")
    figures.add(f"calls of STS after it, busiest {WINDOW_SECONDS} s", max(after), "/s", f"{echo:g}/s")
    figures.add("quota of STS, per account and Region", QUOTA, "/s")

    assert max(curve) <= bound
    assert max(after) <= echo


def restarted(count: int, share: float, per_second: float, chance: random.Random) -> list[Pod]:
    """Return settled pods of which a share is replaced."""
    pods = settled(count, DURATION, chance)
    replaced_count = round(count * share)
    return replaced(pods[:replaced_count], per_second) + pods[replaced_count:]


def test_power_returns(figures: Figures, full: bool) -> None:  # noqa: FBT001 - likewise
    """The nodes of a zone boot within a minute and restart their pods in place, which no admission slows down.

    They ask for more than STS lets through, which throttles; the back-off spreads them, and all get credentials soon,
    while the pods of the other zones keep theirs. The heal is bounded by the quota, not by waiting.
    """
    count, scale = size(full=full)
    chance = random.Random(1)  # noqa: S311 - likewise
    here = round(count / ASSUMED.zones.value)
    starts = [chance.uniform(0, ASSUMED.power_returns_within_seconds.value) for _ in range(here)]
    there = [comes for comes, _ in settled(count - here, DURATION, chance)]
    rate = QUOTA / scale
    bucket = Bucket(rate, rate, level=rate, at=-2 * DURATION)
    simulation = Simulation(starts + there, (0.0, 0.0), bucket, bucket, chance)
    simulation.run(HEALED_SECONDS)
    waited = sorted(simulation.first_at.get(number, float("inf")) - starts[number] for number in range(here))
    offered = rates(simulation.per_second(0, HEALED_SECONDS), scale)
    figures.add("pods that restart", round(here * scale))
    figures.add(
        f"calls that reach STS, busiest {WINDOW_SECONDS} s",
        max(offered),
        "/s",
        f"{OFFERED_SHARE_OF_QUOTA * QUOTA:,.0f}/s",
    )
    figures.add("of which it lets through", QUOTA, "/s")
    figures.add("half of the pods have credentials after", waited[here // 2], "s", f"{HALF_SECONDS} s")
    figures.add("the last one after", waited[-1], "s", f"{HEALED_SECONDS} s")
    figures.add("pods without credentials at the end", simulation.empty, bound="0")
    figures.add("pods of other zones that lacked credentials", len(simulation.lacking), bound="0")

    assert max(offered) <= OFFERED_SHARE_OF_QUOTA * QUOTA
    assert waited[here // 2] <= HALF_SECONDS
    assert waited[-1] <= HEALED_SECONDS
    assert not simulation.lacking
    assert 0 == simulation.empty
    assert max(offered[-3:]) < QUOTA  # nobody is throttled any more


DURATIONS = (900, 1800, 3600, 7200, 21600, 43200)
EXPIRATIONS = (600, 1800, 3600, 7200, 21600, 43200, 86400)


@pytest.mark.full_only(reason="draws the pictures of docs/reliability.md")
def test_pictures(figures: Figures) -> None:
    """What the settings do: credentials that live longer are asked for less often, tokens likewise."""
    count, scale = size(full=True)
    curves = {"settled": (0.0, 1.0)} | {
        f"{part} created anew, {per_second:g} pods/s": (share, per_second)
        for part, share in ZONES.items()
        for per_second in CREATIONS
    }
    drawn = {}
    for label, (share, per_second) in curves.items():
        chance = random.Random(1)  # noqa: S311 - likewise
        pods = restarted(count, share, per_second, chance)
        drawn[label] = rates(calls(pods, DURATION, HORIZON[False], chance), scale)
    plots.over_time("scale-sts.svg", drawn)
    pods_total = ASSUMED.injected_pods.value
    rates_of = {seconds: exchanges_per_second(pods_total, seconds) for seconds in DURATIONS}
    token = ASSUMED.token_refresh_share.value, ASSUMED.token_refresh_most_seconds.value
    tokens = {seconds: token_requests_per_second(pods_total, seconds, *token) for seconds in EXPIRATIONS}
    plots.by_setting("scale-settings.svg", pods_total, rates_of, tokens)
    for seconds, rate in rates_of.items():
        figures.add(f"calls of STS, settled, with sts.durationSeconds {seconds}", rate, "/s")
    figures.plot("scale-sts.svg", "Calls of STS over time, by what happens")
    figures.plot("scale-settings.svg", "Calls of STS and token requests by the setting that rules them")

    assert rates_of[DURATION] < QUOTA

"""`python -m tests.experiments.monitoring`: half an hour of a real Prometheus over sidecars and a webhook.

STS fails, a Deployment without a role is rolled out, the webhook is away; the chart's dashboard and alerts show it.
Writes docs/dashboard.svg and docs/alerts.svg; 1 if an alert that must fire did not.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from emulator.build import apt
from tests.support.monitoring.dashboard import Panel, panels, rules_file
from tests.support.monitoring.prometheus import PACKAGES, Prometheus
from tests.support.monitoring.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

DOCS = Path(__file__).parents[3] / "docs"
SCRAPE_SECONDS = 10.0
RATE_INTERVAL = "1m"
STEP_SECONDS = 5.0
MINUTES = 31.0
# What goes wrong, from minute to minute.
STS_AWAY = (4.0, 23.0)
ROLLOUT = (8.0, 9.0)
WEBHOOK_AWAY = (14.0, 22.0)
EXPECTED = {
    "ImdsEmulatorCredentialsNearExpiry",
    "ImdsEmulatorExchangeFailing",
    "ImdsEmulatorWebhookDown",
    "ImdsEmulatorAdmissionsRefused",
}
COLOURS = ("#3b6fb6", "#c96f2b", "#3a8f5c", "#8a56a8", "#b3394b", "#6b6b6b")
SECOND, MINUTE, DAY = 1.0, 60.0, 86400.0


def main() -> int:
    """Run it and draw what Prometheus has."""
    apt.ensure(PACKAGES)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        with (
            Scene(directory, served=3, life_seconds=900) as scene,
            Prometheus(directory, scene.targets(), rules_file(directory), SCRAPE_SECONDS) as prometheus,
        ):
            start = time.time()
            play(scene, start)
            return draw(prometheus, start, time.time())


def play(scene: Scene, start: float) -> None:
    """Let it happen, a second at a time."""
    away = False
    for minute in minutes(start):
        scene.sts_is_up = not STS_AWAY[0] <= minute < STS_AWAY[1]
        if (WEBHOOK_AWAY[0] <= minute < WEBHOOK_AWAY[1]) != away:
            away = not away
            (scene.stop_webhook if away else scene.start_webhook)()
        scene.ask_for_credentials()
        if not away:
            scene.create_pods(right=1, wrong=int(ROLLOUT[0] <= minute < ROLLOUT[1]))


def minutes(start: float) -> Iterator[float]:
    """Yield the minutes since the start, about each second, until the end."""
    while (passed := (time.time() - start) / 60) < MINUTES:
        yield passed
        time.sleep(1)


def draw(prometheus: Prometheus, start: float, end: float) -> int:
    """Write both pictures; 1 if an alert is missing."""
    shown = panels(RATE_INTERVAL)
    figure = Figure(figsize=(10, 2.1 * ((len(shown) + 1) // 2)), layout="constrained")
    for axes, panel in zip(figure.subplots((len(shown) + 1) // 2, 2, squeeze=False).flat, shown, strict=True):
        scale, unit = unit_of(panel)
        axes.set_title(", ".join(filter(None, (panel.title, unit))), fontsize=10, loc="left")
        for number, each in enumerate(prometheus.history(panel.query, start, end, STEP_SECONDS)):
            times, values = split(each["values"], start)
            colour = COLOURS[number % len(COLOURS)]
            axes.plot(times, [value / scale for value in values], color=colour, label=label(panel, each["metric"]))
        finish(axes)
        axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
        axes.legend(fontsize=7, frameon=False, loc="upper right", ncols=4)
    save(figure, "dashboard.svg")
    fired = prometheus.history("ALERTS", start, end, STEP_SECONDS)
    names = sorted({row_of(each["metric"]) for each in fired}, reverse=True)
    figure = Figure(figsize=(10, 0.5 * len(names) + 1), layout="constrained")
    axes = figure.subplots()
    for each in fired:
        firing = each["metric"]["alertstate"] == "firing"
        times, _ = split(each["values"], start)
        spans = stretches(times)
        colour = "#b3394b" if firing else "#e8c27a"
        axes.broken_barh(spans, (names.index(row_of(each["metric"])) - 0.3, 0.6), color=colour, zorder=2 + firing)
    axes.set_yticks(range(len(names)), names, fontsize=9)
    finish(axes)
    save(figure, "alerts.svg")
    missing = EXPECTED - {each["metric"]["alertname"] for each in fired if each["metric"]["alertstate"] == "firing"}
    if missing:
        print(f"monitoring: did not fire: {', '.join(sorted(missing))}", file=sys.stderr)
    return int(bool(missing))


def unit_of(panel: Panel) -> tuple[float, str]:
    """Return what a panel's values are divided by, and the name of their unit then."""
    if panel.unit == "s":
        return (
            (DAY, "days")
            if "certificate" in panel.title
            else (MINUTE, "minutes")
            if "life" in panel.title
            else (0.001, "ms")
        )
    return SECOND, "" if panel.unit == "short" else "per second"


def label(panel: Panel, metric: dict[str, str]) -> str:
    """Return the legend of a series, as Grafana fills it."""
    return re.sub(r"{{(\w+)}}", lambda match: metric.get(match[1], ""), panel.legend).strip()


def row_of(alert: dict[str, str]) -> str:
    """Return the name of an alert, without the prefix that all have, and the namespace."""
    return f"{alert['alertname'].removeprefix('ImdsEmulator')} {alert.get('namespace', '')}".strip()


def split(values: list[list[Any]], start: float) -> tuple[list[float], list[float]]:
    """Return minutes and values; where Prometheus has none a NaN, so that no line is drawn."""
    times, found = [], []
    for (at, value), (after, _) in pairwise([*values, [float("inf"), "0"]]):
        times.append((at - start) / 60)
        found.append(float(value))
        if after - at > 2 * STEP_SECONDS:
            times.append((at + STEP_SECONDS - start) / 60)
            found.append(float("nan"))
    return times, found


def stretches(times: list[float]) -> list[tuple[float, float]]:
    """Return begin and length of each stretch without a gap, in minutes."""
    found: list[tuple[float, float]] = []
    step = STEP_SECONDS / 60
    for at in times:
        if found and at - sum(found[-1]) < 2 * step:
            found[-1] = (found[-1][0], at - found[-1][0])
        else:
            found.append((at, step))
    return found


def finish(axes: Axes) -> None:
    """Mark what went wrong, and the axis of time."""
    for (begin, end), colour in ((STS_AWAY, "#00000010"), (WEBHOOK_AWAY, "#00000014")):
        axes.axvspan(begin, end, color=colour, linewidth=0, zorder=0)
    axes.axvspan(*ROLLOUT, color="#c96f2b30", linewidth=0, zorder=0)
    axes.set_xlim(0, MINUTES)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, name: str) -> None:
    """Write it, the same bytes for the same figures."""
    figure.savefig(DOCS / name, metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main())

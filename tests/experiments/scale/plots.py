"""The pictures of docs/reliability.md.

The SVG files are the same, byte for byte, for the same figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from tests.experiments.scale.assumptions import PUBLISHED, ROOT
from tests.experiments.scale.simulation import WINDOW_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DOCS = ROOT / "docs"
MINUTE = 60


def over_time(name: str, curves: Mapping[str, Sequence[float]]) -> None:
    """Draw calls of STS per second over time, beside what AWS lets through."""
    axes = _axes()
    for label, curve in curves.items():
        axes.plot([at * WINDOW_SECONDS / MINUTE for at in range(len(curve))], curve, label=label, linewidth=1)
    quota = PUBLISHED.sts_calls_per_second.value
    axes.axhline(quota, color="black", linestyle="--", linewidth=1, label=f"quota of STS, {quota:g}/s")
    axes.set(xlabel="minutes", ylabel="calls of STS per second", ylim=(0, None), xlim=(0, None))
    _save(axes, name)


def by_setting(name: str, pods: float, exchanges: Mapping[int, float], tokens: Mapping[int, float]) -> None:
    """Draw the rates of exchanges and of token requests by the life that is asked for, on logarithmic scales."""
    axes = _axes()
    axes.plot(*zip(*exchanges.items(), strict=True), marker=".", label="calls of STS, by sts.durationSeconds")
    axes.plot(*zip(*tokens.items(), strict=True), marker=".", label="token requests, by token.expirationSeconds")
    axes.axhline(PUBLISHED.sts_calls_per_second.value, color="black", linestyle="--", linewidth=1, label="quota of STS")
    axes.set(xscale="log", yscale="log", xlabel="seconds", ylabel=f"per second, {pods:,.0f} pods")
    _save(axes, name)


def _axes() -> Any:  # noqa: ANN401 - matplotlib is untyped
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "scale"
    from matplotlib.figure import Figure  # noqa: PLC0415 - after the backend is chosen

    return Figure(figsize=(8, 4), layout="constrained").add_subplot()


def _save(axes: Any, name: str) -> None:  # noqa: ANN401 - likewise
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    axes.figure.savefig(DOCS / name, format="svg", metadata={"Date": None})

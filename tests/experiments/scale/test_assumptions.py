"""The page says what the model takes for granted, and from whom."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from tests.experiments.scale.assumptions import ASSUMED, PUBLISHED, measured, values

if TYPE_CHECKING:
    from tests.support.reliability.figures import Figures


def test_assumptions(figures: Figures) -> None:
    """What the model takes for granted and what others publish, with its source; costs are those of the bench."""
    known = {
        f"{kind}: {field.name.replace('_', ' ')}": getattr(group, field.name)
        for kind, group in (("assumed", ASSUMED), ("published", PUBLISHED))
        for field in fields(group)
    }
    for what, each in known.items():
        figures.add(what, f"{each.value:,.10g}; {each.source}")
    for field in fields(measured()):
        figures.add(
            f"measured: {field.name.replace('_', ' ')}", f"{getattr(measured(), field.name):,.10g}; docs/bench.md"
        )
    figures.add("settings", "the chart's defaults")

    assert all(each.value > 0 and each.source for each in known.values())
    assert measured().cpu_us_per_review > 0
    assert values()["sts"]["durationSeconds"] > 0

"""Whether what was sampled stays flat: an early and a late window, side by side.

In: samples of one process with their times. Out: growth, and what may not change at all.
The first tenth is left out: a process has then not done each of its tasks yet.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from tests.experiments.soak.processes import Sample

EARLY, LATE = (0.1, 0.3), (0.8, 1.0)
"""The windows, as shares of the time of all samples."""

Series = Sequence[tuple[float, Sample]]


@dataclass(frozen=True)
class Change:
    """One figure of both windows."""

    early: float
    late: float

    @property
    def growth(self) -> float:
        """How much more it is late."""
        return self.late - self.early


def change(
    series: Series, value: Callable[[Sample], float], figure: Callable[[Iterable[float]], float] = median
) -> Change:
    """Compare the two windows by their median, or by another figure.

    The least is right for what also counts the doings of others, as descriptors do connections: a leak raises it.
    """
    return Change(*(figure(map(value, window(series, share))) for share in (EARLY, LATE)))


def window(series: Series, share: tuple[float, float]) -> list[Sample]:
    """Return the samples of a part of the time; raises AssertionError if there are too few to judge by."""
    first, last = series[0][0], series[-1][0]
    begin, end = (first + (last - first) * part for part in share)
    found = [sample for at, sample in series if begin <= at <= end]
    assert len(found) >= 3, f"{len(found)} samples of {len(series)} in {share}"
    return found

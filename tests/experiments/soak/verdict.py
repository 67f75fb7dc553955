"""Figures with their bounds: each is written down first, and held to its bound at the end, so that none is lost.

In: figures. Out: rows of the record, and on stderr; what is out of bounds.
"""

from emulator.build.progress import say
from tests.support.reliability.figures import Figures, spelled


class Verdict:
    """Collects what is out of bounds."""

    def __init__(self, figures: Figures) -> None:
        self.broken: list[str] = []
        self._figures = figures

    def tell(self, what: str, value: float | str, unit: str = "") -> None:
        """Add a figure that has no bound."""
        self._add(what, value, unit, "")

    def most(self, what: str, value: float, unit: str, bound: float) -> None:
        """Add a figure that must not be more than `bound`."""
        self._add(what, value, unit, f"<= {spelled(bound)} {unit}".strip(), fits=value <= bound)

    def least(self, what: str, value: float, unit: str, bound: float) -> None:
        """Add a figure that must not be less than `bound`."""
        self._add(what, value, unit, f">= {spelled(bound)} {unit}".strip(), fits=value >= bound)

    def _add(self, what: str, value: float | str, unit: str, bound: str, *, fits: bool = True) -> None:
        self._figures.add(what, value, unit, bound)
        told = f"{what}: {spelled(value)} {unit}".strip() + (f" ({bound})" if bound else "")
        say(told)
        if not fits:
            self.broken.append(told)

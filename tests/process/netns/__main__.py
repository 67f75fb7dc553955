"""`python -m tests.process.netns`: runs the redirect beside its neighbours and writes the table of docs/neighbours.md.

If all hold, it writes the table and exits with 0; otherwise it leaves the page and exits with pytest's status.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.netns.neighbours import NEIGHBOURS, Neighbour
from tests.process.netns.test_neighbours import ORDERS

PAGE = Path(__file__).parents[3] / "docs" / "neighbours.md"
START, END = "<!-- From here on by `python -m tests.process.netns` -->\n", "<!-- to here -->\n"
COLUMNS = ("neighbour", "version", *ORDERS, "before its proxy")


class Outcomes:
    """A plugin of pytest that keeps how each test ended, by its parameters in brackets."""

    def __init__(self) -> None:
        self.passed: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a test that passed."""
        if report.when == "call" and report.passed:
            self.passed.add(report.nodeid.partition("::")[2])


def row(neighbour: Neighbour, passed: set[str]) -> str:
    """Return a neighbour's row, with a tick for each order that held."""
    orders = [f"test_beside[{neighbour.name}-{order}]" in passed for order in ORDERS]
    ticks = ["✓" if held else "**no**" for held in orders]
    alone = f"test_no_proxy_yet[{neighbour.name}]" in passed
    cells = [
        neighbour.name,
        neighbour.version or "-",
        *ticks,
        ("✓" if alone else "**no**") if neighbour.is_mesh else "-",
    ]
    return f"| {' | '.join(cells)} |"


def table(passed: set[str]) -> str:
    """Return the table, and what it was run on."""
    nft = subprocess.run(["nft", "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    linux = ".".join(platform.release().split(".")[:2])
    head = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    rows = [row(neighbour, passed) for neighbour in NEIGHBOURS]
    return "\n".join(["", *head, *rows, "", f"Linux {linux}, nftables {nft.lstrip('v')}.", "", ""])


def written(page: str, new: str) -> str:
    """Return the page with the table in its place."""
    return re.sub(f"{re.escape(START)}.*{re.escape(END)}", lambda _: f"{START}{new}{END}", page, flags=re.DOTALL)


def main() -> int:
    """Run the tests and write the page."""
    outcomes = Outcomes()
    status = pytest.main(["-q", str(Path(__file__).with_name("test_neighbours.py"))], plugins=[outcomes])
    if status == 0:
        PAGE.write_text(written(PAGE.read_text(), table(outcomes.passed)))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())

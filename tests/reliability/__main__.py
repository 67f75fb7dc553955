"""`python -m tests.reliability [--check]`: write docs/reliability.md, or fail if it is not what the records say.

In: the records, and the marks of the experiments. Out: the page.
"""

import argparse
import contextlib
import io
import sys
from pathlib import Path

import pytest

from tests.reliability import figures
from tests.reliability.page import SECTIONS, page

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "reliability.md"


class Reasons:
    """A pytest plugin that reads, from a collection, why some tests have no short form."""

    def __init__(self) -> None:
        self.by_test: dict[str, str] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Read the marks of all tests."""
        for item in session.items:
            if mark := item.get_closest_marker("full_only"):
                self.by_test[item.nodeid.partition("[")[0]] = mark.kwargs["reason"]


def reasons() -> dict[str, str]:
    """Return test id to reason, of all tests that have no short form."""
    plugin, said = Reasons(), io.StringIO()
    folders = [str(TESTS / name) for name in SECTIONS if (TESTS / name).exists()]
    with contextlib.redirect_stdout(said):
        status = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", *folders], plugins=[plugin])
    if status != pytest.ExitCode.OK:
        sys.exit(said.getvalue())
    return plugin.by_test


def main() -> int:
    """Write or check the page; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is not what it should be")
    options = parser.parse_args()
    text = page(figures.read(), reasons())
    if not options.check:
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        print(f"{PAGE.name} is not what its records say: run `python -m tests.reliability`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

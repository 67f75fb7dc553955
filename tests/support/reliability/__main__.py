"""`python -m tests.support.reliability [--check]`: write docs/reliability.md, or fail if the records say otherwise.

In: the records, and the marks of the experiments. Out: the page.
"""

import argparse
import contextlib
import io
import shlex
import sys
from pathlib import Path

import pytest

from tests.support.reliability import figures
from tests.support.reliability.page import SECTIONS, page

TESTS = Path(__file__).parents[2]
PAGE = TESTS.parent / "docs" / "reliability.md"


class Collection:
    """A pytest plugin that keeps what a collection finds."""

    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Keep the tests."""
        self.items = session.items


def experiments() -> dict[str, str | None]:
    """Return the id of each experiment, with the reason why it has no short form, if it has none."""
    plugin, said = Collection(), io.StringIO()
    folders = [str(next(TESTS.glob(f"*/{name}"))) for name in SECTIONS]
    with contextlib.redirect_stdout(said):
        status = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", *folders], plugins=[plugin])
    if status != pytest.ExitCode.OK:
        sys.exit(said.getvalue())
    marks = {item.nodeid: item.get_closest_marker("full_only") for item in plugin.items}
    return {test: mark.kwargs["reason"] if mark else None for test, mark in marks.items()}


def main() -> int:
    """Write or check the page; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.reliability", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is not what it should be")
    options = parser.parse_args()
    found, records = experiments(), figures.read()
    if old := [f"{record.section}/{record.name}" for record in records if shlex.split(record.command)[-1] not in found]:
        print(f"records of no experiment, to be removed: {', '.join(old)}", file=sys.stderr)
        return 1
    text = page(records, {test.partition("[")[0]: reason for test, reason in found.items() if reason})
    if not options.check:
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        print(f"{PAGE.name} is not what its records say: run `python -m tests.support.reliability`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`record FILE SUITE...`: run a suite once, and write down which tests run which line.

Written, as JSON: `lines`, by path and line the numbers of tests; `tests`, their ids with the seconds that each took;
`modules`, which others need to start quickly. A line that runs as a module is imported has the tests `null`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import coverage
import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

SOURCE = "src/emulator"


class Recorder:
    """Tells coverage which test runs."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self.measured = measured
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Start a context, its test's id."""
        self.measured.switch_context(item.nodeid)
        result = yield
        self.measured.switch_context("")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up the phases of a test."""
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0) + report.duration


def main() -> int:
    """Run the suite; its status."""
    file, *suite = sys.argv[1:]
    measured = coverage.Coverage(data_file=None, source=[SOURCE])
    recorder = Recorder(measured)
    measured.start()
    status = pytest.main([*suite, "-q", "-p", "no:cacheprovider"], plugins=[recorder])
    measured.stop()
    if status != pytest.ExitCode.OK:  # with a test that fails anyway every mutant would seem to be noticed
        return int(status)
    tests = list(recorder.seconds)
    numbers = {test: number for number, test in enumerate(tests)}
    data = measured.get_data()
    lines = {
        str(Path(path).relative_to(Path.cwd())): {
            line: None if "" in contexts else sorted(numbers[context] for context in contexts)
            for line, contexts in data.contexts_by_lineno(path).items()
        }
        for path in data.measured_files()
    }
    modules = [name for name in sys.modules if name.partition(".")[0] not in ("emulator", "tests", "__main__")]
    record = {"lines": lines, "tests": [[t, recorder.seconds[t]] for t in tests], "modules": modules}
    Path(file).write_text(json.dumps(record))
    return 0


if __name__ == "__main__":
    sys.exit(main())

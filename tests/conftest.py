"""What stands for all tests: the two sizes of an experiment, and the record of what it measured.

In: `--full`, which runs them at the size that docs/reliability.md reports. Out: a record of each that passed.
"""

import shlex
import warnings
from collections.abc import Generator, Iterator

import pytest

from tests.support.reliability.figures import Figures, Record, machine, today, write
from tests.support.reliability.page import SECTIONS

PASSED = pytest.StashKey[bool]()
FULL_ONLY = "full_only(reason): too long, or in the way of other tests, for the short form: runs with --full"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that chooses the size."""
    parser.addoption("--full", action="store_true", help="run experiments whole, and record their figures")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line("markers", FULL_ONLY)
    # Of pytest-helm-charts, for a deprecated fixture of its own; pytest's `filterwarnings` apply only later.
    warnings.filterwarnings("ignore", "cannot discover fixture 'app_catalog_factory'", pytest.PytestWarning)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip, by name and reason, what has no short form; refuse one that the page would not list."""
    for item in items:
        mark = item.get_closest_marker("full_only")
        if mark and item.path.parent.name not in SECTIONS:
            raise pytest.UsageError(f"{item.nodeid} is full_only, so it must be in one of {', '.join(SECTIONS)}")
        if mark and not config.getoption("full"):
            item.add_marker(pytest.mark.skip(reason=f"runs with --full: {mark.kwargs['reason']}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test itself passed, for its fixtures' teardown."""
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
    return report


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the experiment is to run at the size that its record reports."""
    return bool(request.config.getoption("full"))


@pytest.fixture
def figures(request: pytest.FixtureRequest, full: bool) -> Iterator[Figures]:  # noqa: FBT001 - a fixture
    """Collect what an experiment measures; written down if it ran whole and passed."""
    load = machine()
    collected = Figures()
    yield collected
    if not full or not request.node.stash.get(PASSED, False):
        return
    section = request.node.path.parent.name
    if section not in SECTIONS:
        pytest.fail(f"figures of {request.node.nodeid}: its folder must be one of {', '.join(SECTIONS)}")
    if not collected.rows:
        pytest.fail(f"{request.node.nodeid} measured nothing")
    claim = " ".join((request.function.__doc__ or "").split())
    command = f"python -m pytest --full {shlex.quote(request.node.nodeid)}"
    name = request.node.name.removeprefix("test_")
    write(Record(section, name, claim, command, today(), load, collected.rows, collected.plots))

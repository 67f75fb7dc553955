"""Experiments side by side: each takes as long as credentials live, and most of that it waits."""

from __future__ import annotations

import re
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from tests.experiments.faults.lab import NAME, Lab
from tests.support.wire.authority import Authority, make_authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Each in the short and the full form.
AT_ONCE = {False: 16, True: 8}
LIFE_SECONDS = {False: 4, True: 20}  # of credentials


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority and a certificate for all names that STS has here."""
    return make_authority(tmp_path_factory.mktemp("authority"), "localhost", "127.0.0.1", NAME)


@pytest.fixture(scope="session")
def running(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[object, Future[Any]]]:
    """Run the parameters `experiment` of all tests that were asked for, each in a world of its own."""
    full = bool(request.config.getoption("full"))
    items = [item for item in request.session.items if isinstance(item, pytest.Function) and hasattr(item, "callspec")]
    experiments: dict[str, Any] = {
        re.sub(r"\W+", "-", item.name.removeprefix("test_")): item.callspec.params["experiment"]
        for item in items
        if "experiment" in item.callspec.params
    }
    directory = tmp_path_factory.mktemp("labs")

    def run(name: str, experiment: Callable[..., object]) -> object:
        lab = Lab(name, authority, directory / name, LIFE_SECONDS[full])
        try:
            return experiment(lab, full=full)
        finally:
            lab.close()

    with ThreadPoolExecutor(AT_ONCE[full]) as pool:
        yield {experiment: pool.submit(run, name, experiment) for name, experiment in experiments.items()}
        pool.shutdown(cancel_futures=True)


@pytest.fixture
def outcome(running: dict[object, Future[Any]], experiment: object) -> Any:  # noqa: ANN401 - of whatever kind
    """Return what came out of this test's experiment."""
    return running[experiment].result()

"""Spells side by side: each takes as long as credentials live, and most of that it waits."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.faults.lab import NAME, Lab
from tests.faults.spell import Fault, Outcome, cast
from tests.wire.authority import Authority, make_authority

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_ONCE = 12
LIFE_SECONDS = {False: 4, True: 30}  # of credentials, in the short and the full form
AFTER_SECONDS = {False: 1, True: 10}  # how long a fault outlives them


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority and a certificate for all names that STS has here."""
    return make_authority(tmp_path_factory.mktemp("authority"), "localhost", "127.0.0.1", NAME)


@pytest.fixture(scope="session")
def spells(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Fault, Future[Outcome]]]:
    """Cast the spells of all tests that are to run, some at once."""
    full = bool(request.config.getoption("full"))
    calls = [item.callspec for item in request.session.items if isinstance(item, pytest.Function) and hasattr(item, "callspec")]
    faults = {call.id: call.params["fault"] for call in calls if isinstance(call.params.get("fault"), Fault)}
    directory = tmp_path_factory.mktemp("spells")

    def run(name: str, fault: Fault) -> Outcome:
        return cast(Lab(name, authority, directory / name, LIFE_SECONDS[full]), fault, AFTER_SECONDS[full])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {fault: pool.submit(run, name, fault) for name, fault in faults.items()}
        pool.shutdown(cancel_futures=True)

"""The sidecar's process within the chart's limits, with more clients than any pod has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.experiments.load.crowd import Sidecar, judge, sidecar
from tests.support.wire.authority import make_authority
from tests.support.wire.fixtures import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.reliability.figures import Figures

SECONDS = {False: 1.0, True: 30.0}
PART = {False: 0.2, True: 1.0}  # of the bad clients, in the short and the full form
BAD = {"idle": 3000, "drip": 3000, "part": 1000, "stuffed": 1000, "body": 900, "half": 1000, "deaf": 100}


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """Return a sidecar with credentials."""
    directory = tmp_path_factory.mktemp("load")
    world = World(make_authority(directory, "localhost"), directory)
    try:
        with sidecar(world.environ()) as running:
            yield running
    except OSError as error:
        pytest.skip(f"no control groups to be had here: {error}")
    finally:
        world.close()


def test_parallel_clients(running: Sidecar, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """200 clients ask without a pause, half of them on a new connection each time. Others are answered in time."""
    judge(running.meet({"ask": 100, "fresh": 100}, SECONDS[full]), running.group, figures, full=full)


def test_keep_alive_flood(running: Sidecar, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """500 clients ask on connections that they keep, without a pause; 100 of them send four requests at once."""
    judge(running.meet({"ask": 400, "keep": 100}, SECONDS[full]), running.group, figures, full=full)


def test_idle_and_dripping_clients(running: Sidecar, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """10,000 clients come within four seconds and stay: idle, dripping, with unfinished heads and bodies, half closed.

    Some are deaf: they read no answer. Who is thrown out comes back after two seconds. Others are answered in time.
    """
    kinds = {kind: round(PART[full] * count) for kind, count in BAD.items()}
    assert sum(kinds.values()) == 10_000 or not full
    judge(running.meet(kinds, SECONDS[full]), running.group, figures, full=full)


def test_deaf_clients(running: Sidecar, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """1,000 clients ask 64 times each and read no answer; who is thrown out does so again after two seconds.

    What they do not take fills no memory: not the sidecar's, nor the kernel's for it. Others are answered in time.
    """
    judge(running.meet({"deaf": round(1000 * PART[full])}, SECONDS[full]), running.group, figures, full=full)

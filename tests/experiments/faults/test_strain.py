"""What goes wrong and is none of the clients' business."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.experiments.faults.strain import Jumps, Log, Steady, few_descriptors, judge, rotated_token

if TYPE_CHECKING:
    from tests.support.reliability.figures import Figures

LOGS = ("full-pipe", "reader-gone", "disk-full")
JUMP_GAP_SECONDS = {False: 20.0, True: 2.0}  # set forward, the clock is past the end of what there is: for one exchange
JUMPS = {"forward": Jumps(7200), "back": Jumps(-7200), "forward-and-back": Jumps(7200, 0, -7200)}


@pytest.mark.parametrize("experiment", [rotated_token], ids=["rotated"])
def test_token_mid_flight(outcome: Steady, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """The token is replaced 50 times a second, as the kubelet does it; every third that STS sees has expired by then.

    Only whole tokens are sent, an expired one not again, and credentials are to be had all the time.
    """
    judge(outcome, figures, full=full)
    assert 0 == outcome.failed or not full  # whose credentials live for little longer than a few tries take


@pytest.mark.parametrize("experiment", [Log(kind) for kind in LOGS], ids=LOGS)
def test_log(outcome: Steady, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """Nobody takes the log, and every other exchange fails with something to say for it.

    Where the disk is full, no byte can be written to any file. Credentials are to be had all the time, and are renewed.
    """
    judge(outcome, figures, full=full)
    assert 0 == outcome.failed or not full  # whose credentials live for little longer than a few tries take


@pytest.mark.parametrize("experiment", JUMPS.values(), ids=JUMPS)
def test_clock_jumps(outcome: Steady, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """The node's clock is set by two hours: credentials are to be had all the time, none after their true end.

    The expiration that clients are told is by the node's clock.
    """
    judge(outcome, figures, full=full, gap_seconds=JUMP_GAP_SECONDS[full])


@pytest.mark.parametrize("experiment", [few_descriptors], ids=["few"])
def test_descriptors(outcome: Steady, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """The limit of descriptors is 32, and 200 idle clients hold them all and come back.

    Others are served meanwhile, exchanges go on, and afterwards all descriptors come back.
    """
    judge(outcome, figures, full=full)

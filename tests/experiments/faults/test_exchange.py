"""Whatever keeps credentials from coming, for longer than those at hand live."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.experiments.faults.faults import CHILD, CLOCK, DNS, STS, TOKEN
from tests.experiments.faults.spell import judge

if TYPE_CHECKING:
    from tests.experiments.faults.spell import Fault, Outcome
    from tests.support.reliability.figures import Figures


@pytest.mark.parametrize("experiment", STS.values(), ids=STS)
def test_sts(experiment: Fault, outcome: Outcome, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """While STS is so, for longer than credentials live, clients get the old ones to their end, whole, and then 503."""
    judge(outcome, experiment, figures, full=full)


@pytest.mark.skipif(os.geteuid() != 0, reason="a resolver of its own needs root")
@pytest.mark.parametrize("experiment", DNS.values(), ids=DNS)
def test_dns(experiment: Fault, outcome: Outcome, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """While DNS is so, for longer than credentials live, clients get the old ones to their end, whole, and then 503."""
    judge(outcome, experiment, figures, full=full)


@pytest.mark.parametrize("experiment", TOKEN.values(), ids=TOKEN)
def test_token(experiment: Fault, outcome: Outcome, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """While the token is so, for longer than credentials live, clients get the old ones to their end, and then 503."""
    judge(outcome, experiment, figures, full=full)


@pytest.mark.parametrize("experiment", CHILD.values(), ids=CHILD)
def test_child(experiment: Fault, outcome: Outcome, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """While each exchange's child fares so, the sidecar serves the old credentials to their end, and then 503."""
    judge(outcome, experiment, figures, full=full)


@pytest.mark.parametrize("experiment", CLOCK.values(), ids=CLOCK)
def test_clock(experiment: Fault, outcome: Outcome, figures: Figures, full: bool) -> None:  # noqa: FBT001 - a fixture
    """While STS is down and the node's clock is so, the old credentials are served to their true end, and then 503."""
    judge(outcome, experiment, figures, full=full)

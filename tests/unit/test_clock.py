"""The clock that never lags behind."""

from __future__ import annotations

from emulator.sidecar.clock import Clock


class Hands:
    """Two clocks that the test moves."""

    def __init__(self) -> None:
        self.wall = 1000.0
        self.boot = 50.0


def make() -> tuple[Hands, Clock]:
    """Return the hands and the clock they move."""
    hands = Hands()
    return hands, Clock(lambda: hands.wall, lambda: hands.boot)


def test_time_passes() -> None:
    """With both clocks going, it is the wall clock."""
    hands, clock = make()
    hands.wall, hands.boot = 1010.0, 60.0

    assert 1010.0 == clock.now()


def test_paused_machine() -> None:
    """After a virtual machine was paused, the time is that of the wall clock, and stays so."""
    hands, clock = make()
    hands.wall = 8000.0
    first = clock.now()
    hands.boot += 5
    hands.wall += 5

    assert (8000.0, 8005.0) == (first, clock.now())


def test_wall_clock_set_back() -> None:
    """Time goes on when somebody sets the wall clock back; what clients are told is by the wall clock."""
    hands, clock = make()
    hands.wall, hands.boot = 500.0, 60.0

    assert (1010.0, 1590.0) == (clock.now(), clock.on_wall(2100.0))


def test_wall_clock_set_forward() -> None:
    """Time follows the wall clock forward, and so does what clients are told."""
    hands, clock = make()
    hands.wall, hands.boot = 8000.0, 60.0

    assert (8000.0, 9000.0) == (clock.now(), clock.on_wall(9000.0))


def test_wall_clock_set_forward_and_back() -> None:
    """After an error that was put right, clients are told the right time."""
    hands, clock = make()
    hands.wall, hands.boot = 8000.0, 60.0
    clock.now()
    hands.wall = 1010.0

    assert (8000.0, 2010.0) == (clock.now(), clock.on_wall(9000.0))


def test_drift() -> None:
    """Clocks that drift apart by a little change nothing in what clients are told."""
    hands, clock = make()
    hands.wall, hands.boot = 1009.0, 60.0

    assert (1010.0, 2100.0) == (clock.now(), clock.on_wall(2100.0))

"""The time by which credentials expire: Unix seconds that never lag behind, and never go back."""

from time import CLOCK_BOOTTIME, clock_gettime, time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DRIFT_SECONDS = 2  # by which clocks differ that nobody has set


def time_since_boot() -> float:
    """Return seconds that pass while the machine sleeps too, and that nobody sets."""
    return clock_gettime(CLOCK_BOOTTIME)


class Clock:
    """Unix seconds, of two clocks the one that is ahead.

    The wall clock is right after a virtual machine was paused; the time since boot is right after somebody set
    the wall clock back. Either alone would serve dead credentials.
    """

    __slots__ = ("_ahead_of_boot", "_boot", "_wall")

    def __init__(self, wall: "Callable[[], float]" = time, boot: "Callable[[], float]" = time_since_boot) -> None:
        self._wall = wall
        self._boot = boot
        self._ahead_of_boot = wall() - boot()

    def now(self) -> float:
        """Return the time."""
        boot = self._boot()
        ahead = self._wall() - boot
        self._ahead_of_boot = max(self._ahead_of_boot, ahead)
        return boot + self._ahead_of_boot

    def on_wall(self, at: float) -> float:
        """Return what the wall clock, as it is set now, shows when it is `at` by this one, for clients."""
        behind = self.now() - self._wall()
        return at - behind if behind > DRIFT_SECONDS else at

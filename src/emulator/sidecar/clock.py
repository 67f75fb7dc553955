"""The time by which credentials expire.

Goes in: the machine's clocks. Comes out: Unix seconds that never lag behind.
"""

from time import CLOCK_BOOTTIME, clock_gettime, time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


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
        self._ahead_of_boot = 0.0
        self.follow_wall()

    def now(self) -> float:
        """Return the time."""
        boot = self._boot()
        ahead = self._wall() - boot
        self._ahead_of_boot = max(self._ahead_of_boot, ahead)
        return boot + self._ahead_of_boot

    def follow_wall(self) -> None:
        """Take the wall clock as it is, if it was set back too; whoever holds times from before forgets them."""
        self._ahead_of_boot = self._wall() - self._boot()

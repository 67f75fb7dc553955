"""Something done again and again beside the test, and what went wrong with it.

In: an action, the time between two. Out: how often it was done; the failures, each with its time.
"""

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Repeated(threading.Thread):
    """One thread; a turn that takes longer than `seconds` is followed by the next at once."""

    def __init__(self, seconds: float, act: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self.done = 0
        self.failures: list[str] = []
        self._seconds, self._act = seconds, act
        self._ended = threading.Event()

    def run(self) -> None:
        """Act until `end`."""
        while not self._ended.is_set():
            began = time.monotonic()
            try:
                self._act()
                self.done += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, it counts
                self.failures.append(f"{dt.datetime.now(dt.UTC):%H:%M:%S} {type(error).__name__}: {error}")
            self._ended.wait(max(0.0, began + self._seconds - time.monotonic()))

    def end(self) -> None:
        """Let the turn that is under way be the last, and wait for it."""
        self._ended.set()
        self.join()


@contextmanager
def together(*threads: Repeated) -> Iterator[None]:
    """Run all of them for the time of a block."""
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.end()

"""A wall clock that an experiment sets: the sidecar's process takes it from a file.

The time since boot, which the sidecar uses too, is the kernel's: nobody sets that one on a node either.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.support.wire.process import MAIN

if TYPE_CHECKING:
    from pathlib import Path

WIDTH = 32


class SetClock:
    """How far the clock is ahead of the true time."""

    def __init__(self, file: Path, ahead_seconds: float = 0) -> None:
        file.touch()
        self._file = os.open(file, os.O_WRONLY)
        self.set(ahead_seconds)
        # Opened each time: the child of an exchange closes what it has no use for.
        self.main = (
            "import posix, time\n_true = time.time\n"
            f"def _set():\n    file = posix.open({str(file)!r}, posix.O_RDONLY)\n"
            f"    ahead = posix.read(file, {WIDTH})\n    posix.close(file)\n    return _true() + float(ahead)\n"
            f"time.time = _set\n{MAIN}"
        )

    def set(self, ahead_seconds: float) -> None:
        """Set it."""
        os.pwrite(self._file, f"{ahead_seconds:{WIDTH}.3f}".encode(), 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

"""One at a time on a machine: a lock on a file, which ends with the process that holds it.

In: the file. Out: nothing; who waits says for whom and how long.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from emulator.build.progress import BEAT_SECONDS, say

_POLL_SECONDS = 1.0


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock; wait for it if another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    said = started - BEAT_SECONDS
    with path.open("a+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                now = time.monotonic()
                if now - said >= BEAT_SECONDS:
                    said = now
                    file.seek(0)
                    say(f"waiting for process {file.read().strip()}, which holds {path}: {now - started:.0f} s")
                time.sleep(_POLL_SECONDS)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield

"""A client's program, run to its end.

In: a command line. Out: what it printed.
"""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[3]
TIMEOUT_SECONDS = 60.0
SIGNED_SECONDS = 1.0
END_SECONDS = 3.0
_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Ended:
    """A program that ended, or was ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def last_words(self) -> str:
        """The last line that it printed, errors first."""
        lines = [line.strip() for line in (self.stderr or self.stdout).splitlines() if line.strip()]
        return f"exit status {self.status}: {lines[-1][:300] if lines else 'nothing printed'}"


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path, signed: threading.Event) -> Ended:
    """Run a program until it ends, its time is up, or it has had time enough after `signed` was set."""
    out, err = folder / "stdout", folder / "stderr"
    with out.open("w") as stdout, err.open("w") as stderr:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        deadline = time.monotonic() + TIMEOUT_SECONDS
        lingers = False
        while process.poll() is None and time.monotonic() < deadline:
            if signed.is_set() and not lingers:
                lingers, deadline = True, time.monotonic() + SIGNED_SECONDS
            time.sleep(_POLL_SECONDS)
        status = process.poll()
        if status is None:
            status = _end(process)
            stderr.write("" if lingers else f"\nno end after {TIMEOUT_SECONDS:.0f} s\n")
    return Ended(status, out.read_text(errors="replace"), err.read_text(errors="replace"))


def _end(process: subprocess.Popen[bytes]) -> int:
    """End the program and all that it started, kindly first: s3fs has to unmount."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.killpg(process.pid, number)
        try:
            return process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    return process.wait()

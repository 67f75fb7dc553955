"""An emulator that does not start.

In: its environment. Out: its last words.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.support.wire.process import MAIN


def refusal(environ: dict[str, str]) -> str:
    """Return what the emulator says when it refuses its settings."""
    command = [sys.executable, "-I", "-S", "-c", MAIN, "serve"]
    done = subprocess.run(
        command, env={**environ, "PATH": os.environ["PATH"]}, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    return done.stdout + done.stderr

"""Runs a program of nftables or iptables; what it says when it fails becomes one line."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# How long a program of iptables waits for the lock by itself; twice that time is a hang.
LOCK_SECONDS = 30


class ProgramError(Exception):
    """A program could not do its work; the message is one line that begins with its name."""


def run(command: Sequence[str], environment: Mapping[str, str], stdin: str = "") -> str:
    """Return what the program printed; raises ProgramError where it is missing or fails."""
    try:
        done = subprocess.run(  # noqa: S603 - by names of ours
            command,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            timeout=2 * LOCK_SECONDS,
        )
    except FileNotFoundError:
        raise ProgramError(f"{command[0]}: no such program") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProgramError(f"{command[0]}: {error}") from None
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line and not line.startswith("#")]  # "# Warning: ..."
        raise ProgramError(f"{command[0]}: {said[0] if said else f'exit status {done.returncode}'}")
    return done.stdout

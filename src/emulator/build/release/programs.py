"""The programs that publish, found on PATH: crane, cosign, and gh where there is a forge."""

from __future__ import annotations

import json
import shutil
import subprocess


class FailedError(Exception):
    """A program failed or is missing; the message says which and why."""


def path(name: str) -> str:
    """Return where a program is."""
    if found := shutil.which(name):
        return found
    raise FailedError(f"{name}: must be on PATH; `make release` puts it there")


def run(name: str, *arguments: str) -> str:
    """Run a program and return its output; raises FailedError with its complaint."""
    done = subprocess.run([path(name), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise FailedError(f"{name} {' '.join(arguments)}: exit status {done.returncode}\n{done.stderr.strip()}")
    return done.stdout


def succeeds(name: str, *arguments: str) -> bool:
    """Tell whether a program succeeds."""
    return subprocess.run([path(name), *arguments], capture_output=True, check=False).returncode == 0


def versions() -> dict[str, str]:
    """Return the versions of what publishes."""
    return {
        "crane": run("crane", "version").strip(),
        "cosign": str(json.loads(run("cosign", "version", "--json"))["gitVersion"]),
    }

"""Debian packages, installed only where they are missing.

In: a map of package to the program that shows it is there. Out: the programs on PATH.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from emulator.build.paths import log_path
from emulator.build.progress import StepFailedError, run

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def program(name: str) -> Path | None:
    """Where a program is, on PATH or in the system's own folders."""
    found = shutil.which(name) or shutil.which(name, path=_SYSTEM_PATH)
    return Path(found) if found else None


def missing(packages: Mapping[str, str]) -> Sequence[str]:
    """Return the packages whose program is not there."""
    return [package for package, shown_by in packages.items() if program(shown_by) is None]


def ensure(packages: Mapping[str, str]) -> None:
    """Install what is missing with apt-get, which needs root and a Debian-like system."""
    wanted = missing(packages)
    if not wanted:
        return
    names = " ".join(wanted)
    if program("apt-get") is None or os.geteuid() != 0:
        raise StepFailedError(
            f"programs of these packages are missing: {names}; install them, or run as root on Debian"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    log = log_path("apt")
    run(["apt-get", "update", "-q"], "apt-get update", log, env=environment)
    install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *wanted]
    run(install, f"apt-get install {names}", log, env=environment)
    if missing(packages):
        raise StepFailedError(f"apt-get install {names} left some missing: {' '.join(missing(packages))}; see {log}")

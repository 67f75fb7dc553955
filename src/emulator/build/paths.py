"""Where things are kept: one cache folder outside the checkout.

In: the environment. Out: paths.
"""

import os
from pathlib import Path


def cache() -> Path:
    """$IMDS_EMULATOR_CACHE, else `imds-emulator` in the user's cache folder (XDG Base Directory)."""
    if chosen := os.environ.get("IMDS_EMULATOR_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "imds-emulator"


def tools() -> Path:
    """Return the folder with one finished folder for each tool, version and recipe."""
    return cache() / "tools"


def scratch() -> Path:
    """Go's module and build caches while something is built; dropped afterwards."""
    return cache() / "tools-scratch"


def log_path(name: str) -> Path:
    """Return the log of one tool's build."""
    return cache() / "logs" / f"{name}.log"

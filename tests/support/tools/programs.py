"""Programs by name: a person's own where its version is enough, else the pinned one, built once.

In: a name. Out: a path.
"""

import functools
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.support.tools import build
from tests.support.tools.table import Tool, find

_ANSWER_SECONDS = 20


@dataclass(frozen=True)
class Enough:
    """How a program tells its version, and which versions do: at least `least`, and less than `below`."""

    command: tuple[str, ...]
    least: tuple[int, int]
    below: tuple[int, int]


ENOUGH = {
    # What these tests ask of it is older than this; its own `kustomize` is what sets the bound.
    "kubectl": Enough(("version", "--client"), (1, 30), (2, 0)),
    "helm": Enough(("version", "--short"), (3, 16), (4, 0)),
    "kustomize": Enough(("version",), (5, 4), (6, 0)),
    # The one that the pinned node image was made for.
    "kind": Enough(("version",), (0, 33), (1, 0)),
}


def path(name: str) -> Path:
    """Return where a program is; builds the pinned one if it has to."""
    if found := on_path(name):
        return found
    tool = find(name)
    build.ensure([tool])
    return build.program(tool, name)


def rows(names: Iterable[str]) -> list[Tool]:
    """Return the rows of the table that have to be there for these rows or programs, each once."""
    return list({tool.name: tool for tool in (find(name) for name in names if not on_path(name))}.values())


def on_path(name: str) -> Path | None:
    """Return the program of PATH if its version is enough; None for one that is pinned, whatever is on PATH."""
    found = shutil.which(name) if name in ENOUGH else None
    enough = found and ENOUGH[name].least <= _version(found, ENOUGH[name].command) < ENOUGH[name].below
    return Path(found) if found and enough else None


@functools.cache
def _version(program: str, command: tuple[str, ...]) -> tuple[int, int]:
    """Return what a program tells of itself: the first version with a `v`; (0, 0) if there is none."""
    try:
        told = subprocess.run(
            [program, *command], capture_output=True, text=True, check=False, timeout=_ANSWER_SECONDS
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return (0, 0)
    match = re.search(r"\bv(\d+)\.(\d+)\.", told)
    return (int(match[1]), int(match[2])) if match else (0, 0)

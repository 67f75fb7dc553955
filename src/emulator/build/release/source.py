"""What is released: the version, the commit and the time that every file of the release bears."""

from __future__ import annotations

import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

from emulator import __version__

ROOT = Path(__file__).resolve().parents[4]


@dataclass(frozen=True)
class Source:
    """A commit of the checkout. `repository`: its address on the web, without a slash at the end."""

    version: str
    commit: str
    epoch: int
    repository: str
    is_clean: bool


def read() -> Source:
    """Return the checkout's state."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return Source(
        version=__version__,
        commit=_git("rev-parse", "HEAD"),
        epoch=int(_git("log", "-1", "--format=%ct")),
        repository=project["urls"]["Repository"].rstrip("/"),
        is_clean=not _git("status", "--porcelain"),
    )


def faults(source: Source, tag: str, date: str) -> list[str]:
    """Return why this must not be published. `tag`: the forge's tag, "" if there is none; `date`: CHANGELOG.md's."""
    found = []
    if tag and tag != f"v{source.version}":
        found.append(
            f"tag: Invalid value: {tag!r}: must be 'v{source.version}', the version in src/emulator/__init__.py"
        )
    if not date:
        found.append(f"CHANGELOG.md: the section of {source.version} must have a date: `## [{source.version}] - DATE`")
    if not source.is_clean:
        found.append("work tree: must be clean: commit, or stash, what `git status` shows")
    return found


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()

"""The release on the forge: its notes and its files, by gh. The one step that a rehearsal leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulator.build.release import programs
from emulator.build.release.plan import Step

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def release(version: str, notes: Path, files: Iterable[Path]) -> Step:
    """Return the step that creates the release of a tag that is there already."""
    tag = f"v{version}"
    words = ["release", "create", tag, "--verify-tag", "--title", tag, "--notes-file", str(notes), *map(str, files)]
    return Step(
        f"create the release {tag} on the forge",
        lambda: programs.succeeds("gh", "release", "view", tag),
        lambda: print(programs.run("gh", *words), end=""),
    )

"""What to upgrade from: this chart and its images under another version, and the chart that was published first.

In: a folder, image archives. Out: a chart, and archives of the same images with its tag.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING

from emulator import __version__
from tests.e2e.release import CHART

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "0.0.9"
FIRST = "b303e0b"  # the commit with the chart that was published first


def chart(folder: Path) -> Path:
    """Return a copy of the chart that is of the version before."""
    copy = folder / CHART.name
    shutil.copytree(CHART, copy)
    file = copy / "Chart.yaml"
    file.write_text(file.read_text().replace(__version__, VERSION))
    return copy


def first_chart(folder: Path) -> Path | None:
    """Return the chart that was published first; None if this checkout has not its history."""
    root = CHART.parents[1]
    archive = folder / "first.tar"
    path = str(CHART.relative_to(root))
    command = ["git", "-C", str(root), "archive", f"--output={archive}", FIRST, path]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        return None
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return folder / path


def image(folder: Path, archive: Path) -> Path:
    """Return a copy of a docker archive whose images have the tag of the version before."""
    copy = folder / archive.name
    with tarfile.open(archive) as old, tarfile.open(copy, "w") as new:
        for member in old:
            file = old.extractfile(member)
            content = file.read() if file else b""
            if member.name == "manifest.json":
                images = json.loads(content)
                for each in images:
                    each["RepoTags"] = [name.replace(f":{__version__}", f":{VERSION}") for name in each["RepoTags"]]
                content = json.dumps(images).encode()
                member.size = len(content)
            if member.name != "repositories":
                new.addfile(member, io.BytesIO(content) if file else None)
    return copy

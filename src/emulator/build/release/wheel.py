"""The wheel: the command for people who have Python, as `pipx install` takes it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from emulator.build.release import programs
from emulator.build.release.source import ROOT

if TYPE_CHECKING:
    from emulator.build.release.source import Source

FILES = ("LICENSE", "README.md", "pyproject.toml")


def name(version: str) -> str:
    """Return the file's name. Source: PyPA, Binary distribution format."""
    return f"imds_emulator-{version}-py3-none-any.whl"


def make(source: Source) -> bytes:
    """Return the wheel; the same bytes each time."""
    with tempfile.TemporaryDirectory() as folder:
        # Of a copy: setuptools would put in what an earlier build left behind.
        for file in FILES:
            shutil.copy(ROOT / file, folder)
        shutil.copytree(ROOT / "src", Path(folder) / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        done = subprocess.run(
            [sys.executable, "-m", "build", "--wheel", "--outdir", folder, folder],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(source.epoch)},
        )
        if done.returncode:
            raise programs.FailedError(f"python -m build: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return (Path(folder) / name(source.version)).read_bytes()

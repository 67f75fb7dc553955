"""The wheel, built and installed apart from the checkout."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

from emulator import __version__
from emulator.build.release import source, wheel

if TYPE_CHECKING:
    from pathlib import Path


def test_wheel(tmp_path: Path) -> None:
    """It is the same each time, lacks what only a build runs, and its command works outside of the checkout."""
    built = wheel.make(source.read())
    file = tmp_path / wheel.name(__version__)
    file.write_bytes(built)
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    installed = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", f"--target={installed}"]
    subprocess.run([*pip, str(file)], check=True)

    said = subprocess.run(
        [sys.executable, installed / "bin" / "imds-emulator", "version"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"{__version__}\n" == said.stdout
    assert built == wheel.make(source.read())
    assert {"emulator/cli/check.py", "emulator/cli/default_parameters.json"} <= set(names)
    assert [] == [name for name in names if not name.startswith("emulator/") and ".dist-info/" not in name]
    assert [] == [name for name in names if name.startswith("emulator/build")]

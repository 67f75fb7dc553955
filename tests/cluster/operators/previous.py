"""What to upgrade from: this chart and its images under another version, and the version that was published before.

In: a folder, image archives. Out: charts, and archives of images with a tag that no other test uses.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from typing import TYPE_CHECKING, Any

from emulator import __version__
from tests.support.kubernetes.release import CHART

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "0.0.9"
PUBLISHED = "ee652dc"  # the last commit of 0.1.0
PUBLISHED_TAG = "0.1.0-published"
ROOT = CHART.parents[1]
MODULES = "usr/lib/python3.13/"  # in the images, which have only what is compiled: a source there wins


def chart(folder: Path) -> Path:
    """Return a copy of the chart that is of the version before."""
    copy = folder / CHART.name
    shutil.copytree(CHART, copy)
    file = copy / "Chart.yaml"
    file.write_text(file.read_text().replace(__version__, VERSION))
    return copy


def published_chart(folder: Path) -> Path | None:
    """Return the chart of 0.1.0; None if this checkout has not its history."""
    path = str(CHART.relative_to(ROOT))
    files = _archive(PUBLISHED, path)
    if files is None:
        return None
    with tarfile.open(fileobj=io.BytesIO(files)) as tar:
        tar.extractall(folder, filter="data")
    return folder / path


def published_image(folder: Path, archive: Path) -> Path:
    """Return a copy of a docker archive with the program of 0.1.0 in place of today's."""
    program = _archive(f"{PUBLISHED}:src", "emulator", f"--prefix={MODULES}")
    assert program
    return image(folder, archive, PUBLISHED_TAG, program)


def image(folder: Path, archive: Path, tag: str = VERSION, layer: bytes = b"") -> Path:
    """Return a copy of a docker archive whose images have another tag, and one more layer if one is given."""
    copy = folder / archive.name
    with tarfile.open(archive) as old, tarfile.open(copy, "w") as new:
        for member in old:
            if member.name not in ("manifest.json", "repositories"):
                new.addfile(member, old.extractfile(member))
        images = _json(old, "manifest.json")
        for each in images:
            each["RepoTags"] = [name.replace(f":{__version__}", f":{tag}") for name in each["RepoTags"]]
            if layer:
                config = _with(_json(old, each["Config"]), layer)
                each["Layers"].append(_add(new, layer, ".tar"))
                each["Config"] = _add(new, json.dumps(config).encode(), ".json")
        _add(new, json.dumps(images).encode(), name="manifest.json")
    return copy


def _json(archive: tarfile.TarFile, name: str) -> Any:  # noqa: ANN401 - any JSON
    file = archive.extractfile(name)
    assert file
    return json.load(file)


def _with(config: dict[str, Any], layer: bytes) -> dict[str, Any]:
    """Return an image's configuration with a layer more (OCI Image Configuration)."""
    digests = [*config["rootfs"]["diff_ids"], f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    made = {"created_by": f"git archive {PUBLISHED}"}
    return {
        **config,
        "rootfs": {**config["rootfs"], "diff_ids": digests},
        "history": [*config.get("history", ()), made],
    }


def _add(archive: tarfile.TarFile, content: bytes, suffix: str = "", name: str = "") -> str:
    """Add a file, by default named by its content; return the name."""
    member = tarfile.TarInfo(name or hashlib.sha256(content).hexdigest() + suffix)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
    return member.name


def _archive(tree: str, path: str, *options: str) -> bytes | None:
    """Return a tar of a folder of a commit; None if it is not there."""
    command = ["git", "-C", str(ROOT), "archive", *options, tree, path]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout if done.returncode == 0 else None

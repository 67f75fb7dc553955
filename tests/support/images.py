"""The images under test: built where they are missing or out of date, unpacked once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from emulator.build import apt
from emulator.build.images import archive, build

if TYPE_CHECKING:
    from pathlib import Path

    from emulator.build.images.archive import Archive


@pytest.fixture(scope="session")
def images() -> dict[str, Archive]:
    """Return both images, by name."""
    if os.geteuid() != 0:
        pytest.skip("building and running images needs root")
    apt.ensure({"runc": "runc", "iproute2": "ip"})
    paths = build.ensure(build.PRODUCT)
    return {image.target: archive.read(path) for image, path in zip(build.PRODUCT, paths, strict=True)}


@pytest.fixture(scope="session")
def rootfs(images: dict[str, Archive], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folder of each image's files."""
    folders = {name: tmp_path_factory.mktemp(name) for name in images}
    for name, image in images.items():
        image.unpack(folders[name])
        folders[name].chmod(0o755)  # the container's /, which its user must be able to enter
    return folders

"""A docker archive, read: its configuration, its layers, and the files that a container sees."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Archive:
    """One image: `config` is its OCI configuration, `layers` their tar files, the lowest first."""

    config: dict[str, Any]
    layers: tuple[bytes, ...]

    @property
    def digests(self) -> list[str]:
        """The layers' digests, as a registry and a node know them."""
        found: list[str] = self.config["rootfs"]["diff_ids"]
        return found

    @property
    def size(self) -> int:
        """Bytes unpacked."""
        return sum(map(len, self.layers))

    def compressed(self) -> list[int]:
        """Return the bytes of each layer as a registry sends them."""
        return [len(gzip.compress(layer, compresslevel=6, mtime=0)) for layer in self.layers]

    def files(self) -> dict[str, tarfile.TarInfo]:
        """Return all that is in the image, by path without a leading slash; a later layer wins."""
        found: dict[str, tarfile.TarInfo] = {}
        for layer in self.layers:
            with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
                found |= {member.name.removeprefix("./").rstrip("/"): member for member in tar}
        return found

    def read(self, path: str) -> bytes:
        """Return what a file holds."""
        for layer in reversed(self.layers):
            with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
                if path in tar.getnames() and (file := tar.extractfile(path)):
                    return file.read()
        raise FileNotFoundError(path)

    def json(self, path: str) -> dict[str, Any]:
        """Return what a JSON file holds."""
        found: dict[str, Any] = json.loads(self.read(path))
        return found

    def unpack(self, folder: Path) -> None:
        """Write the files to a folder, with their owners."""
        for layer in self.layers:
            with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
                tar.extractall(folder, numeric_owner=True, filter="fully_trusted")  # noqa: S202 - ours


def read(path: Path) -> Archive:
    """Read an archive (Docker Image Specification v1.2, "Combined Image JSON + Filesystem Changeset Format")."""
    with tarfile.open(path) as tar:

        def member(name: str) -> bytes:
            file = tar.extractfile(name)
            assert file is not None, name
            return file.read()

        (image,) = json.loads(member("manifest.json"))
        return Archive(json.loads(member(image["Config"])), tuple(member(name) for name in image["Layers"]))

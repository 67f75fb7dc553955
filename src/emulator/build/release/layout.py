"""OCI layouts on disk: what a registry will hold, to the last bit, so that its digests are known before it is pushed.

Source: OCI Image Format Specification 1.1, "Image Layout", "Image Manifest" and "Image Index".
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import shutil
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"

Descriptor = dict[str, Any]


@dataclass(frozen=True)
class Blob:
    """Bytes and what they are."""

    media_type: str
    content: bytes

    @property
    def descriptor(self) -> Descriptor:
        """How a manifest names them."""
        digest = hashlib.sha256(self.content).hexdigest()
        return {"mediaType": self.media_type, "digest": f"sha256:{digest}", "size": len(self.content)}


class Layout:
    """A layout in a folder, made anew; the manifest that is tagged is written last, by `finish`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}\n')

    def manifest(self, config: Blob, layers: Iterable[Blob], annotations: Mapping[str, str]) -> Descriptor:
        """Add a manifest with its blobs; return its descriptor."""
        content = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._add(config),
            "layers": [self._add(layer) for layer in layers],
            "annotations": dict(annotations),
        }
        return self._add(Blob(MANIFEST, _json(content)))

    def index(self, manifests: Iterable[Descriptor], annotations: Mapping[str, str]) -> Descriptor:
        """Add an index of one manifest for each platform; return its descriptor."""
        content = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": list(manifests),
            "annotations": dict(annotations),
        }
        return self._add(Blob(INDEX, _json(content)))

    def finish(self, tagged: Descriptor) -> str:
        """Make `tagged` what the layout is of; return its digest."""
        top = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [tagged]}
        (self.folder / "index.json").write_bytes(_json(top))
        return str(tagged["digest"])

    def _add(self, blob: Blob) -> Descriptor:
        descriptor = blob.descriptor
        (self.folder / "blobs" / str(descriptor["digest"]).replace(":", "/")).write_bytes(blob.content)
        return descriptor


def digest_of(folder: Path) -> str:
    """Return the digest that the layout in `folder` will have in a registry."""
    (tagged,) = json.loads((folder / "index.json").read_text())["manifests"]
    return str(tagged["digest"])


def image(config: Mapping[str, Any], layers: Iterable[bytes]) -> tuple[Blob, list[Blob]]:
    """Return the blobs of an image; `config`: its OCI configuration, `layers`: tar files, the lowest first."""
    return Blob(CONFIG, _json(config)), [Blob(LAYER, compressed(layer)) for layer in layers]


def files(contents: Mapping[str, bytes], epoch: int) -> tuple[Blob, list[Blob]]:
    """Return the blobs of an image that holds these files and runs nothing: any client of a registry can fetch them."""
    layer = tar(contents, epoch)
    config = {
        # A client asks for its own platform, and takes this for any.
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    return image(config, [layer])


def tar(contents: Mapping[str, bytes], epoch: int, programs: tuple[str, ...] = ()) -> bytes:
    """Return a tar file that is the same each time; `programs`: files that can be run."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(contents.items()):
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(content), epoch
            member.mode = 0o755 if name in programs else 0o644
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


@functools.lru_cache(maxsize=8)  # the images share their lower layers
def compressed(content: bytes) -> bytes:
    """Compress without a time stamp."""
    return gzip.compress(content, compresslevel=9, mtime=0)


def _json(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()

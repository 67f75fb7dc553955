"""Image archives, read and made with nothing but tar and JSON.

In: a docker or an OCI archive, or a program. Out: the names in the archive; an archive with that program alone.
"""

import contextlib
import gzip
import hashlib
import io
import json
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

_NAME = "io.containerd.image.name"
_GZIP = b"\x1f\x8b"
_REFERENCE = "org.opencontainers.image.ref.name"


class BadArchiveError(ValueError):
    """The file is not an image archive, or names no image."""


def names(path: Path) -> list[str]:
    """Return the names in a docker archive (`RepoTags`) or an OCI one (annotations of its index), as they are there."""
    try:
        with tarfile.open(path) as archive:
            found = list(_names(archive))
    except (OSError, tarfile.TarError, ValueError) as error:
        raise BadArchiveError(f"image archive {path}: {error}") from error
    if not found:
        raise BadArchiveError(f"image archive {path}: names no image; save it by NAME:TAG, not by id")
    return found


def digest(path: Path) -> str:
    """Return one word for what is in a docker or an OCI archive, by the digests that it holds itself."""
    with tarfile.open(path) as archive:
        members = {member.name.removeprefix("./") for member in archive}
        if "manifest.json" not in members:
            return _word(_read(archive, "index.json"))
        manifest = _read(archive, "manifest.json")
        return _word([manifest, *(_read(archive, image["Config"]) for image in manifest)])


def _word(content: object) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _names(archive: tarfile.TarFile) -> Iterator[str]:
    members = {member.name.removeprefix("./") for member in archive}
    if "manifest.json" in members:
        for image in _read(archive, "manifest.json"):
            yield from image.get("RepoTags") or []
    elif "index.json" in members:
        for manifest in _read(archive, "index.json")["manifests"]:
            annotations = manifest.get("annotations", {})
            name = annotations.get(_NAME) or annotations.get(_REFERENCE, "")
            if ":" in name:
                yield name
    else:
        raise ValueError("holds neither manifest.json nor index.json")


def _read(archive: tarfile.TarFile, name: str) -> Any:  # noqa: ANN401 - as json.load
    for candidate in (name, f"./{name}"):
        if candidate in archive.getnames():
            file = archive.extractfile(candidate)
            if file:
                return json.load(file)
    raise ValueError(f"{name} is not a file")


@contextlib.contextmanager
def unpacked(path: Path) -> Iterator[BinaryIO]:
    """Open the archive as plain tar, also if it is compressed by gzip; its file descriptor stands at the start."""
    with path.open("rb", buffering=0) as file:
        if file.read(len(_GZIP)) != _GZIP:
            file.seek(0)
            yield file
            return
    with gzip.open(path) as packed, tempfile.TemporaryFile(buffering=0) as plain_file:
        shutil.copyfileobj(packed, plain_file)
        plain_file.seek(0)
        yield plain_file


def plain(name: str) -> str:
    """Return the name without the host `localhost`, which podman and buildah put before what they build."""
    return name.removeprefix("localhost/")


def write(path: Path, name: str, program: Path) -> None:
    """Make a docker archive of image `name`: one layer that holds `program`, which it starts as nobody."""
    layer = path.with_name(f"{path.name}.layer")
    with tarfile.open(layer, mode="w") as content:
        add(content, program.name, program.read_bytes(), 0o755)
    started = {"Entrypoint": [f"/{program.name}"], "User": "65532:65532"}
    write_layers(path, [name], [layer], started, _architecture(program))
    layer.unlink()


def write_layers(
    path: Path, names: Sequence[str], layers: Sequence[Path], config: Mapping[str, object], architecture: str = ""
) -> None:
    """Make a docker archive of an image of these names: layers, the lowest first, and what a container starts."""
    digests = []
    for layer in layers:
        with layer.open("rb") as content:
            digests.append(f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}")
    described = {
        "architecture": architecture or _architecture(Path(sys.executable)),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": digests},
    }
    inside = [f"layer{number or ''}.tar" for number in range(len(layers))]
    manifest = [{"Config": "config.json", "RepoTags": list(names), "Layers": inside}]
    part = path.with_name(f"{path.name}.part")
    with tarfile.open(part, mode="w") as archive:
        add(archive, "config.json", json.dumps(described).encode())
        for name, layer in zip(inside, layers, strict=True):
            member = tarfile.TarInfo(name)
            member.size = layer.stat().st_size
            with layer.open("rb") as content:
                archive.addfile(member, content)
        add(archive, "manifest.json", json.dumps(manifest).encode())
    part.rename(path)


def add(archive: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    """Put a file into an archive, with no time and no owner but root."""
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    archive.addfile(member, io.BytesIO(content))


def _architecture(program: Path) -> str:
    """GOARCH of an ELF file: its e_machine (elf(5))."""
    with program.open("rb") as file:
        machine = int.from_bytes(file.read(20)[18:], "little")
    return {62: "amd64", 183: "arm64"}[machine]

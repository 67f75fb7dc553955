"""What the bench runs: the emulator as its image has it, a peer from its public module, our floor in Go.

Each is built once, and again when its sources change.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from emulator.build.images.build import PRODUCT
from emulator.build.images.build import ensure as ensure_images
from emulator.build.paths import log_path, tools
from emulator.build.progress import run
from tests.support.tools import golang

PEER_MODULE = "github.com/aws/rolesanywhere-credential-helper"
PEER_VERSION = "v1.4.0"
SOURCE = Path(__file__).parent / "program"
BUILD = ["build", "-mod=mod", "-trimpath", "-ldflags=-s -w"]


def cache() -> Path:
    """Return the folder for what is made here, beside the tools."""
    return tools().parent / "bench"


def rootfs() -> Path:
    """Return the emulator image unpacked: Debian's Python and the product, as they run in a pod."""
    archive = ensure_images(PRODUCT)[0]
    target = cache() / f"rootfs-{_digest(archive.read_bytes())}"
    if not target.exists():
        for old in cache().glob("rootfs-*"):
            shutil.rmtree(old)
        part = target.with_suffix(".part")
        with tarfile.open(archive) as image:
            manifest = json.load(_member(image, "manifest.json"))
            for layer in manifest[0]["Layers"]:
                with tarfile.open(fileobj=_member(image, layer)) as files:
                    files.extractall(part, filter="tar")
        part.rename(target)
    return target


def peer() -> Path:
    """Return the program of AWS's IAM Roles Anywhere, which serves credentials as IMDSv2 does."""
    target = cache() / f"rolesanywhere-{PEER_VERSION}"
    if not target.exists():
        folder = cache() / "rolesanywhere"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "go.mod").write_text(f"module build\n\ngo 1.21\n\nrequire {PEER_MODULE} {PEER_VERSION}\n")
        _build(folder, target, PEER_MODULE, cgo="1")  # its PKCS #11 is C
        shutil.rmtree(folder)
    return target


def program(source: Path = SOURCE) -> Path:
    """Return a program of ours in Go, by default the bench's: floor, upstream and load."""
    sources = sorted(source.iterdir())
    target = cache() / f"{source.name}-{_digest(b''.join(file.read_bytes() for file in sources))}"
    if not target.exists():
        cache().mkdir(parents=True, exist_ok=True)
        _build(source, target, ".", cgo="0")
    return target


def _build(folder: Path, target: Path, package: str, *, cgo: str) -> None:
    part = target.with_suffix(".part")
    environment = {**golang.environment(), "CGO_ENABLED": cgo}
    command = [str(golang.ensure()), *BUILD, "-o", str(part), package]
    run(command, f"build {target.name}", log_path(target.name), env=environment, cwd=folder)
    part.rename(target)


def _member(image: tarfile.TarFile, name: str) -> tarfile.ExFileObject:
    file = image.extractfile(name)
    assert isinstance(file, tarfile.ExFileObject)
    return file


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:12]


def check_root() -> None:
    """Fail in one line where the bench can't run: it starts the product in its own root file system."""
    if os.geteuid() != 0:
        raise SystemExit("bench: run it as root: the product runs in its image's root file system (chroot)")
    subprocess.run(["chroot", "/", "true"], check=True)

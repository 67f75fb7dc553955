"""Builds an image from a Dockerfile of the checkout into an archive, when what it is made of has changed.

The archive is a docker archive in the cache; beside it lies, for the product's images, their SBOM.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulator import __version__
from emulator.build.images import archive, base, host
from emulator.build.images.builders import HERE, IMAGES, ROOT, Builder, choose
from emulator.build.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Image:
    """An image to be: its tag, the Dockerfile below the checkout's top, a target in it and its arguments."""

    tag: str
    file: str = "Dockerfile"
    target: str = ""
    arguments: tuple[tuple[str, str], ...] = ()
    platform: str = ""

    @property
    def archive(self) -> Path:
        """Where its archive is, or will be."""
        return IMAGES / f"{self.tag.rpartition('/')[2].replace(':', '-')}.tar"

    @property
    def sbom(self) -> Path:
        """Where its SBOM is, if it is one of the product's."""
        return self.archive.with_suffix(".cdx.json")


def product(name: str, platform: str = HERE) -> Image:
    """Return an image of the product."""
    suffix = "" if platform == HERE else f"-{platform.rpartition('/')[2]}"
    tag = f"imds-emulator/{name}:{__version__}{suffix}"
    return Image(tag, target=name, arguments=(("VERSION", __version__),), platform=platform)


PRODUCT = tuple(product(name) for name in ("emulator", "redirect"))


def ensure(images: tuple[Image, ...], *, builder_name: str = "", fresh: bool = False) -> list[Path]:
    """Return the archives of the images, built where they are missing or out of date; one build at a time."""
    with lock():
        builder = choose(builder_name)
        base_id = base.ensure(builder)
        context = snapshot(images)
        times = [epoch(image) for image in images]
        for image, time in zip(images, times, strict=True):
            inputs = digest(context, f"{image} {builder.name} {base_id} {time}")
            stamp = image.archive.with_suffix(".inputs")
            if not fresh and image.archive.exists() and stamp.exists() and stamp.read_text() == inputs:
                say(f"{image.tag}: unchanged")
            else:
                make(builder, image, context, time, fresh=fresh)
                stamp.write_text(inputs)
        return [image.archive for image in images]


def make(builder: Builder, image: Image, context: Path, time: int, *, fresh: bool) -> None:
    """Build an image that bears `time`, and write its archive."""
    builder.make(
        image.tag,
        context / image.file,
        context,
        target=image.target,
        platform=image.platform,
        arguments={**base.proxy(), **dict(image.arguments)},
        secrets=host.secrets(IMAGES / "host") if image.file != "Dockerfile" else {},
        epoch=time,
        fresh=fresh,
    )
    builder.archive(image.tag, image.archive)
    if image.target:
        bom = archive.read(image.archive).read(f"usr/share/sbom/{image.target}.cdx.json")
        image.sbom.write_bytes(bom)
    say(f"{image.tag}: {image.archive} ({image.archive.stat().st_size / 1e6:.1f} MB)")


def snapshot(images: tuple[Image, ...]) -> Path:
    """Copy what the images are made of, once for all: images that share layers must not see a change between them."""
    context = IMAGES / "context"
    shutil.rmtree(context, ignore_errors=True)
    for path in {path for image in images for path in files(image)}:
        target = context / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return context


def copied(dockerfile: str) -> list[str]:
    """Return the paths that a Dockerfile copies from its context."""
    words = (line.split() for line in dockerfile.splitlines() if line.startswith("COPY "))
    return [path for line in words if not line[1].startswith("--from") for path in line[1:-1]]


def files(image: Image) -> list[Path]:
    """Return the files that go into an image: its Dockerfile and all that it copies."""
    dockerfile = ROOT / image.file
    tops = [top for pattern in copied(dockerfile.read_text()) for top in ROOT.glob(pattern)]
    inside = [path for top in tops for path in ([top] if top.is_file() else top.rglob("*"))]
    return sorted({dockerfile, *(path for path in inside if path.is_file() and "__pycache__" not in path.parts)})


def digest(context: Path, word: str) -> str:
    """Return one word for all that an image is made of: the files of its context and `word`."""
    total = hashlib.sha256(word.encode())
    for path in sorted(path for path in context.rglob("*") if path.is_file()):
        total.update(f"\0{path.relative_to(context)}\0".encode() + path.read_bytes())
    return total.hexdigest()


def epoch(image: Image) -> int:
    """Return the one time that an image bears: SOURCE_DATE_EPOCH, else that of the last commit to its files."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    paths = [str(path.relative_to(ROOT)) for path in files(image)]
    command = ["git", "log", "-1", "--format=%ct", "--", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    return int(done.stdout.strip() or 0)


@contextlib.contextmanager
def lock() -> Iterator[None]:
    """Hold the cache of images; says so while another process has it."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (IMAGES / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process builds images: wait")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield

"""Docker, podman and buildah as one thing: a program that builds a Dockerfile and saves an image.

The methods of a `Builder` run commands and raise `StepFailedError`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emulator.build import apt
from emulator.build.paths import cache, log_path
from emulator.build.progress import run, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

IMAGES = cache() / "images"
PULL_SECONDS = 300
MANY_LAYERS = 300  # about 4 GB, 50 builds
ROOT = Path(__file__).parents[4]
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
HERE = f"linux/{ARCHITECTURES[os.uname().machine]}"
# Old builders don't set BuildKit's argument, docker before 23 not where a Dockerfile declares it.
_BUILD_PLATFORM = f"--build-arg=BUILDPLATFORM={HERE}"
# Of podman and buildah, which are one program there. Steps run by chroot: that needs neither a container runtime nor
# more privileges than this process has.
BUILD = (
    "--isolation=chroot",
    "--layers",
    "--pull=never",
    "--identity-label=false",
    _BUILD_PLATFORM,
)


@dataclass(frozen=True)
class Builder:
    """A program and how its commands differ from the others'.

    `save` has the words {image} and {archive}. With `stamps` it gives files and image one time by itself.
    """

    name: str
    command: tuple[str, ...]
    build: tuple[str, ...]
    save: tuple[str, ...]
    stamps: bool

    def image_id(self, image: str) -> str:
        """Return the id of the local image of that name, or ""."""
        listing = [*self.command, "images", "--no-trunc", "--format", "{{.ID}}", image]
        found = subprocess.run(listing, capture_output=True, text=True, check=False).stdout.split()
        return found[0] if found else ""

    def pull(self, image: str) -> bool:
        """Tell whether the image could be had from a registry."""
        say(f"pull {image} with {self.name}")
        try:
            pulled = subprocess.run(
                [*self.command, "pull", image], capture_output=True, check=False, timeout=PULL_SECONDS
            )
        except subprocess.TimeoutExpired:
            return False
        return pulled.returncode == 0

    def make(  # noqa: PLR0913 - each is a word of the command
        self,
        image: str,
        file: Path,
        context: Path,
        *,
        target: str = "",
        platform: str = "",
        arguments: Mapping[str, str] | None = None,
        secrets: Mapping[str, Path] | None = None,
        epoch: int | None = None,
        fresh: bool = False,
    ) -> None:
        """Build a Dockerfile; `fresh` uses no layer of an earlier build."""
        command = [*self.command, *self.build, "--tag", image, "--file", str(file)]
        if target:
            command += ["--target", target]
        if platform:
            command += ["--platform", platform]
        if fresh:
            command += ["--no-cache"]
        if epoch is not None:
            command += ["--build-arg", f"SOURCE_DATE_EPOCH={epoch}"]
            command += ["--timestamp", str(epoch)] if self.stamps else []
        for name, value in (arguments or {}).items():
            command += ["--build-arg", f"{name}={value}"]
        for name, path in (secrets or {}).items():
            command += ["--secret", f"id={name},src={path}"]
        self._run([*command, str(context)], f"build {image} with {self.name}")

    def archive(self, image: str, path: Path) -> None:
        """Write an image as a docker archive; it appears whole, by one rename."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        words = (word.format(image=image, archive=part) for word in self.save)
        self._run([*self.command, *words], f"save {image}")
        part.rename(path)

    def _run(self, command: Sequence[str], label: str) -> None:
        # Docker before version 23 builds without it unless told so; the others don't know the variable.
        run(command, label, log_path("images"), cwd=ROOT, env={**os.environ, "DOCKER_BUILDKIT": "1"})


def docker() -> Builder:
    """Docker, by its engine."""
    save = ("save", "--output", "{archive}", "{image}")
    return Builder("docker", ("docker",), ("build", "--network=host", _BUILD_PLATFORM), save, stamps=False)


def podman() -> Builder:
    """Podman, with its own storage."""
    save = ("save", "--format", "docker-archive", "--output", "{archive}", "{image}")
    return Builder("podman", ("podman",), ("build", *BUILD), save, stamps=True)


def buildah() -> Builder:
    """Buildah, with storage in the cache; dropped when many builds have left their layers there."""
    driver = "overlay" if "\toverlay\n" in Path("/proc/filesystems").read_text() else "vfs"
    storage = IMAGES / "storage"
    command = ("buildah", "--root", str(storage), "--runroot", str(IMAGES / "run"), "--storage-driver", driver)
    layers = storage / f"{driver}-layers" / "layers.json"
    if layers.exists() and len(json.loads(layers.read_text())) > MANY_LAYERS:
        run([*command, "rmi", "--all", "--force"], "drop the layers of earlier builds", log_path("images"))
    save = ("push", "{image}", "docker-archive:{archive}:{image}")
    return Builder("buildah", command, ("build", *BUILD), save, stamps=True)


BUILDERS = {"docker": docker, "podman": podman, "buildah": buildah}


def choose(name: str = "") -> Builder:
    """Return the builder called `name`, else the first one that works here; installs buildah if none works."""
    if name:
        return BUILDERS[name]()
    if apt.program("docker") and works("docker", "version", "--format", "{{.Server.Version}}") and has_buildkit():
        return docker()
    if apt.program("podman") and works("podman", "info"):
        return podman()
    apt.ensure({"buildah": "buildah"})
    return buildah()


def has_buildkit() -> bool:
    """Tell whether docker has BuildKit, which the Dockerfiles need: by its plugin buildx, or of itself before 23."""
    shown = subprocess.run(["docker", "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"version (\d+)\.", shown)
    return works("docker", "buildx", "version") or bool(match and int(match[1]) < 23)


def works(*command: str) -> bool:
    """Tell whether a command succeeds within a short time."""
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
    except subprocess.TimeoutExpired:
        return False

"""The base image: pulled where there is a registry, else made of Debian's packages under the same name."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from emulator.build import apt
from emulator.build.images.builders import IMAGES
from emulator.build.paths import log_path
from emulator.build.progress import run, say

if TYPE_CHECKING:
    from pathlib import Path

    from emulator.build.images.builders import Builder

SUITE = "trixie"
BASE = f"debian:{SUITE}-slim"
# As in the slim images: documentation and translations stay out, licences stay in.
LEFT_OUT = (
    *(f"path-exclude=/usr/share/{folder}/*" for folder in ("doc", "info", "locale", "man")),
    "path-include=/usr/share/doc/*/copyright",
)
DOCKERFILE = 'FROM scratch\nADD rootfs.tar /\nCMD ["bash"]\n'


def ensure(builder: Builder) -> str:
    """Return the id of the base image, which is there afterwards."""
    if not builder.image_id(BASE) and not builder.pull(BASE):
        say(f"{BASE} cannot be pulled here: make it of Debian's packages")
        folder = bootstrap()
        builder.make(BASE, folder / "Dockerfile", folder)
    return builder.image_id(BASE)


def bootstrap() -> Path:
    """Make a root file system with the mirror that the tool knows; returns its folder, with a Dockerfile."""
    folder = IMAGES / f"base-{SUITE}"
    rootfs = folder / "rootfs.tar"
    if not rootfs.exists():
        apt.ensure({"mmdebstrap": "mmdebstrap"})
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / "part.tar"
        options = [f"--dpkgopt={option}" for option in LEFT_OUT]
        command = ["mmdebstrap", "--variant=minbase", *options, SUITE, str(part)]
        run(command, f"bootstrap {SUITE}", log_path("images"), env={**os.environ, **proxy()})
        part.rename(rootfs)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    return folder


def proxy() -> dict[str, str]:
    """Return the proxy of the machine's apt as the variable that other tools know."""
    words = ["apt-config", "shell", "http_proxy", "Acquire::http::Proxy"]
    try:
        shown = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return {}
    name, _, value = shown.partition("=")
    return {name: value.strip("'")} if value.strip("'") else {}

"""The registry, by crane: what is there, and pushing what is not."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emulator.build.release import programs

if TYPE_CHECKING:
    from pathlib import Path


class OtherContentError(Exception):
    """The registry has the version already, with another content; the message names both."""


@dataclass(frozen=True)
class Artifact:
    """What one reference stands for. `digest`: of the OCI layout in `layout`; `parts`: digests of its platforms."""

    reference: str
    layout: Path
    digest: str
    parts: dict[str, str]

    @property
    def pinned(self) -> str:
        """The reference by digest, `HOST/NAME@sha256:...`."""
        return f"{self.reference.rpartition(':')[0]}@{self.digest}"

    def part(self, platform: str) -> str:
        """Return the reference of one platform's image, by digest."""
        return f"{self.reference.rpartition(':')[0]}@{self.parts[platform]}"


def is_pushed(artifact: Artifact) -> bool:
    """Tell whether the registry has it; raises OtherContentError where its tag stands for something else."""
    found = subprocess.run(
        [programs.path("crane"), "digest", artifact.reference], capture_output=True, text=True, check=False
    )
    if found.returncode:
        if "MANIFEST_UNKNOWN" in found.stderr or "NAME_UNKNOWN" in found.stderr or "404 Not Found" in found.stderr:
            return False
        raise programs.FailedError(f"crane digest {artifact.reference}: {found.stderr.strip()}")
    if (there := found.stdout.strip()) != artifact.digest:
        raise OtherContentError(
            f"{artifact.reference}: is published already, as {there}, and this tree makes {artifact.digest}: a version"
            " is published once; raise the version"
        )
    return True


def push(artifact: Artifact) -> None:
    """Push a layout; its blobs that are there already are not sent."""
    programs.run("crane", "push", str(artifact.layout), artifact.reference)

"""Tells which Debian packages an image's files come from, as an SBOM.

Reads dpkg's records of unpacked packages; makes a CycloneDX 1.6 document.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

# Made at installation, so that dpkg does not know it.
MADE_BY = {Path("/etc/ssl/certs/ca-certificates.crt"): "ca-certificates"}
FIELDS = "${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n"


@dataclass(frozen=True, order=True)
class Package:
    """A Debian package and the source package that its security notices name."""

    name: str
    version: str
    architecture: str
    source: str
    source_version: str

    def purl(self, release: str) -> str:
        """Return its package URL (purl-spec, type deb)."""
        upstream = quote(f"{self.source}@{self.source_version}", safe="")
        place = f"arch={self.architecture}&distro=debian-{release}&upstream={upstream}"
        return f"pkg:deb/debian/{quote(self.name)}@{quote(self.version)}?{place}"


def owners(root: Path, files: Iterable[Path]) -> list[Package]:
    """Return the packages below `root` that the files belong to; raises where one belongs to none."""
    paths = set(files)
    names = {MADE_BY[path] for path in paths & set(MADE_BY)}
    paths -= set(MADE_BY)
    found = _query(root, "--search", *map(str, sorted(paths)))
    # Lines like `libc6:amd64, libc6-dev: /usr/lib/...`, dpkg-query(1).
    names |= {owner.split(":")[0] for line in found for owner in line.rsplit(": ", 1)[0].split(", ")}
    shown = _query(root, "--show", f"--showformat={FIELDS}", *sorted(names))
    return sorted(Package(*line.split("\t")) for line in shown)


def release(root: Path) -> str:
    """Return the number of the Debian release below `root`."""
    return (root / "etc/debian_version").read_text().split(".")[0].strip()


def document(image: str, version: str, packages: list[Package], release: str, epoch: int) -> str:
    """Return the SBOM of an image as CycloneDX JSON."""
    ours = {
        "type": "application",
        "name": "imds-emulator",
        "version": version,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    theirs = [
        {"type": "library", "name": package.name, "version": package.version, "purl": package.purl(release)}
        for package in packages
    ]
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).isoformat().replace("+00:00", "Z"),
            "component": {"type": "container", "name": image, "version": version},
        },
        "components": [ours, *theirs],
    }
    return json.dumps(bom, indent=1) + "\n"


def _query(root: Path, *arguments: str) -> list[str]:
    command = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

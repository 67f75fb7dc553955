"""Tells which Debian packages an image's files come from, as an SBOM.

Goes in: paths of the build stage's system. Comes out: packages, and a CycloneDX 1.6 document.
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
MADE_BY = {Path("/etc/ssl/certs/ca-certificates.crt"): "ca-certificates", Path("/usr/lib/ssl/cert.pem"): "openssl"}
FIELDS = "${Package}\t${Version}\t${Architecture}\t${source:Package}\t${source:Version}\n"
RELEASE = Path("/etc/debian_version")


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


def owners(files: Iterable[Path]) -> list[Package]:
    """Return the packages that the files belong to; raises where one belongs to none."""
    paths = set(files)
    names = {MADE_BY[path] for path in paths & set(MADE_BY)}
    paths -= set(MADE_BY)
    found = _query("--search", *map(str, sorted(paths)))
    # Lines like `libc6:amd64, libc6-dev: /usr/lib/...`, dpkg-query(1).
    names |= {owner.split(":")[0] for line in found for owner in line.rsplit(": ", 1)[0].split(", ")}
    return sorted(Package(*line.split("\t")) for line in _query("--show", f"--showformat={FIELDS}", *sorted(names)))


def document(image: str, version: str, packages: list[Package], epoch: int) -> str:
    """Return the SBOM of an image as CycloneDX JSON."""
    release = RELEASE.read_text().split(".")[0].strip()
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


def _query(*arguments: str) -> list[str]:
    return subprocess.run(["dpkg-query", *arguments], capture_output=True, text=True, check=True).stdout.splitlines()

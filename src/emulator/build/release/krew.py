"""The plugin for kubectl, as krew installs it: the wheel, and a program that runs it by uv or pipx.

The libraries that the wheel asks for are compiled for each machine, so that no archive holds them for all.
"""

from __future__ import annotations

import hashlib
from typing import Any

import yaml

from emulator.build.release import layout, wheel

NAME = "imds-emulator"
PROGRAM = "kubectl-imds_emulator"  # kubectl looks for dashes of a plugin's name as underscores
ARCHIVE = f"{PROGRAM}.tar.gz"
LAUNCHER = """#!/bin/sh
set -eu
wheel="imds-emulator[cli] @ file://$(dirname "$(readlink -f "$0")")/{wheel}"
if command -v uvx >/dev/null; then exec uvx --quiet --from "$wheel" imds-emulator "$@"; fi
if command -v pipx >/dev/null; then exec pipx run --spec "$wheel" imds-emulator "$@"; fi
echo "kubectl imds-emulator: uv or pipx must be on PATH" >&2
exit 127
"""


def archive(version: str, built: bytes, licence: bytes, epoch: int) -> bytes:
    """Return the plugin's archive; `built`: the wheel."""
    launcher = LAUNCHER.replace("{wheel}", wheel.name(version)).encode()
    contents = {PROGRAM: launcher, wheel.name(version): built, "LICENSE": licence}
    return layout.compressed(layout.tar(contents, epoch, programs=(PROGRAM,)))


def manifest(version: str, repository: str, packed: bytes) -> str:
    """Return the plugin's manifest. Source: Krew, "Writing Krew plugin manifests"."""
    platform: dict[str, Any] = {
        "selector": {"matchExpressions": [{"key": "os", "operator": "In", "values": ["linux", "darwin"]}]},
        "uri": f"{repository}/releases/download/v{version}/{ARCHIVE}",
        "sha256": hashlib.sha256(packed).hexdigest(),
        "bin": PROGRAM,
    }
    plugin = {
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": NAME},
        "spec": {
            "version": f"v{version}",
            "homepage": repository,
            "shortDescription": "Tell why a pod gets no AWS credentials",
            "description": (
                "Diagnoses clusters and pods that use imds-emulator (`check`), prints the IAM trust policy of a role"
                " (`trust-policy`), and injects manifests before they are applied (`inject`).\n"
            ),
            "caveats": "uv or pipx must be on PATH.\n",
            "platforms": [platform],
        },
    }
    return yaml.safe_dump(plugin, sort_keys=False, width=1000)

"""Runs a command of an unpacked image as a container, as a kubelet would: by runc, with nothing but what is said."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RUN_SECONDS = 120


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    status: int
    out: str
    err: str


def run(  # noqa: PLR0913
    rootfs: Path,
    *command: str,
    uid: int = 16925,
    capabilities: tuple[str, ...] = (),
    network: str = "",
    environment: dict[str, str] | None = None,
    runtime: tuple[str, ...] = ("runc",),
) -> Result:
    """Run a command with a read-only root, no new privileges and exactly these capabilities."""
    given = specification(
        rootfs, command, uid=uid, capabilities=capabilities, network=network, environment=environment or {}
    )
    with tempfile.TemporaryDirectory() as bundle:
        (Path(bundle) / "config.json").write_text(json.dumps(given))
        name = f"imds-emulator-{os.getpid()}-{Path(bundle).name}"
        done = subprocess.run(
            [*runtime, "run", "--bundle", bundle, name],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_SECONDS,
        )
    return Result(done.returncode, done.stdout, done.stderr)


def specification(  # noqa: PLR0913
    rootfs: Path,
    command: tuple[str, ...],
    *,
    uid: int,
    capabilities: tuple[str, ...],
    network: str,
    environment: dict[str, str],
) -> dict[str, Any]:
    """Return the config.json of the OCI Runtime Specification."""
    held = [f"CAP_{name}" for name in capabilities]
    tmpfs = ["nosuid", "noexec", "nodev", "mode=1777"]
    return {
        "ociVersion": "1.0.2",
        "root": {"path": str(rootfs), "readonly": True},
        "process": {
            "args": list(command),
            "cwd": "/",
            "env": [f"{name}={value}" for name, value in {"PATH": "/usr/sbin:/usr/bin", **environment}.items()],
            "user": {"uid": uid, "gid": uid},
            "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), held),
            "noNewPrivileges": True,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": tmpfs},  # noqa: S108 - a pod's
        ],
        "linux": {
            "namespaces": [
                *({"type": kind} for kind in ("pid", "ipc", "uts", "mount")),
                {"type": "network", "path": f"/run/netns/{network}"} if network else {"type": "network"},
            ],
        },
    }

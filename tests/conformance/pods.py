"""Pods on this machine: namespaces that end with the process that made them.

In: a mode and the clients' folders. Out: the outcomes, each as soon as it is there.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.conformance.clients import Client
from tests.conformance.outcome import Outcome
from tests.conformance.program import CHECKOUT

_PROGRAMS = ("setpriv", "unshare", "ip", "iptables")


class PodFailedError(Exception):
    """A pod ended early; its complaint is on stderr."""


def unavailable() -> str:
    """Say why this machine can't have pods, "" if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(absent)} not on PATH" if absent else ""


def outcomes(mode: str, folders: Mapping[Client, Path]) -> Iterator[Outcome]:
    """Run the clients in a pod of this IMDS mode; raises PodFailedError. Call it in the main thread."""
    # All that runs in the pod dies with process 1 of its pid namespace, which dies with unshare, which dies with us.
    inside = ["--net", "--pid", "--mount-proc", "--fork", "--kill-child"]
    program = [sys.executable, "-m", "tests.conformance.pod", mode]
    arguments = [f"{client.id}={folder}" for client, folder in folders.items()]
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", *inside, *program, *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT / 'src'}:{CHECKOUT}"}
    with subprocess.Popen(
        command, env=environment, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                yield Outcome(**json.loads(line))
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise PodFailedError(f"the pod of mode {mode} ended with status {process.returncode}")

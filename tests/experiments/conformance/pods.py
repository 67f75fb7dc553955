"""Pods on this machine: namespaces that end with the process that made them.

In: modes and the clients' folders. Out: the outcomes, each as soon as it is there.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.experiments.conformance.clients import Client
from tests.experiments.conformance.outcome import Outcome
from tests.experiments.conformance.program import CHECKOUT

# All that runs in a pod dies with process 1 of its pid namespace, which dies with unshare, which dies with us.
_POD = ("setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--pid", "--mount-proc", "--fork", "--kill-child")
_PROGRAMS = ("setpriv", "unshare", "ip", "iptables")


class PodFailedError(Exception):
    """A pod ended early; its complaint is on stderr."""


def unavailable() -> str:
    """Say why this machine can't have pods, "" if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(absent)} not on PATH" if absent else ""


def outcomes(modes: Sequence[str], folders: Mapping[Client, Path]) -> Iterator[Outcome]:
    """Run the clients in a pod for each IMDS mode, side by side; raises PodFailedError. Call it in the main thread."""
    arguments = [f"{client.id}={folder}" for client, folder in folders.items()]
    environment = {**os.environ, "PYTHONPATH": f"{CHECKOUT / 'src'}:{CHECKOUT}"}
    # One pipe for all: what a pod writes at once, a line, arrives whole (pipe(7), PIPE_BUF).
    reads, writes = os.pipe()
    with ExitStack() as pods:
        lines = pods.enter_context(os.fdopen(reads, encoding="utf-8"))
        processes = {}
        for mode in modes:
            command = [*_POD, sys.executable, "-m", "tests.experiments.conformance.pod", mode, *arguments]
            processes[mode] = pods.enter_context(
                subprocess.Popen(command, env=environment, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=writes)
            )
            pods.callback(processes[mode].kill)
        os.close(writes)
        for line in lines:
            yield Outcome(**json.loads(line))
        ended = {mode: process.wait() for mode, process in processes.items()}
    if failed := [f"of mode {mode} with status {status}" for mode, status in ended.items() if status]:
        raise PodFailedError(f"a pod ended: {', '.join(failed)}")

"""Whether a cluster is well, asked of its API server by kubectl.

In: a kubeconfig. Out: faults, a line each, empty where there is none; `StepFailedError` for one that lasts.
"""

import re
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from emulator.build.progress import BEAT_SECONDS, StepFailedError, say
from tests.support.tools import programs

_POLL_SECONDS = 0.3

Fault = Callable[[], str]


def kubectl(kubeconfig: Path) -> list[str]:
    """Return kubectl, for this cluster."""
    return [str(programs.path("kubectl")), f"--kubeconfig={kubeconfig}"]


def call(command: Sequence[str], *, stdin: int = subprocess.DEVNULL) -> str:
    """Run a command and return its output; `StepFailedError` carries what it said."""
    done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StepFailedError(f"{' '.join(command)}: exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def api_fault(kubeconfig: Path) -> str:
    """Why the API server is not ready."""
    fault = _asked(kubeconfig, "API server not ready", ["get", "--raw=/readyz"], "ok")
    failed = re.findall(r"\[-\](\S+)", fault)
    return f"API server not ready: {', '.join(failed)}" if failed else fault


def node_fault(kubeconfig: Path) -> str:
    """Why the cluster's only node is not Ready."""
    condition = '{.items[*].status.conditions[?(@.type=="Ready")].status}'
    return _asked(kubeconfig, "node not Ready", ["get", "nodes", f"--output=jsonpath={condition}"], "True")


def dns_fault(kubeconfig: Path) -> str:
    """Why CoreDNS is not available."""
    condition = '{.status.conditions[?(@.type=="Available")].status}'
    query = ["--namespace=kube-system", "get", "deployment", "coredns", f"--output=jsonpath={condition}"]
    return _asked(kubeconfig, "CoreDNS not available", query, "True")


def wait(label: str, fault: Fault, seconds: float) -> None:
    """Wait until `fault` finds none; say what it finds every ten seconds, and fail with it after `seconds`."""
    started = said = time.monotonic()
    while found := fault():
        now = time.monotonic()
        if now - started > seconds:
            raise StepFailedError(f"{label}: after {seconds:.0f} s: {found}")
        if now - said > BEAT_SECONDS:
            said = now
            say(f"{label}: {now - started:.0f} s: {found.splitlines()[0]}")
        time.sleep(_POLL_SECONDS)


def _asked(kubeconfig: Path, fault: str, query: Sequence[str], wanted: str) -> str:
    command = [*kubectl(kubeconfig), "--request-timeout=5s", *query]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    answer = (done.stdout or done.stderr).strip()
    return "" if done.returncode == 0 and answer == wanted else f"{fault}: {answer or 'no answer'}"

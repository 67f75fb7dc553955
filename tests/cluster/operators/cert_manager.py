"""A real cert-manager beside a cluster: its controller and its cainjector, as processes of this machine.

In: a cluster, a folder for logs. Out: its kinds are served and its controllers run, for the time of a block.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import subprocess
from typing import TYPE_CHECKING

import yaml

from tests.support.kubernetes.kube import Kube, condition, path, program
from tests.support.tools import build
from tests.support.tools.table import TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.kubernetes.kube import Object

API = "cert-manager.io/v1"
_GROUP = "apiextensions.k8s.io/v1"
_PROGRAMS = {
    "cert-manager-controller": ("--metrics-listen-address=127.0.0.1:0",),
    "cert-manager-cainjector": (),
}


@contextlib.contextmanager
def running(kube: Kube, folder: Path) -> Iterator[None]:
    """Serve its kinds and run its controllers."""
    commands = [
        [program(name), f"--kubeconfig={kube.kubeconfig}", "--leader-elect=false", *options]
        for name, options in _PROGRAMS.items()
    ]
    kinds = _kinds()
    kube.apply(*kinds)
    with contextlib.ExitStack() as stack:
        for command in commands:
            log = stack.enter_context((folder / f"{command[0].rpartition('/')[2]}.log").open("w"))
            stack.callback(_end, subprocess.Popen(command, stdout=log, stderr=log))
        yield
    for kind in kinds:
        kube.delete(path(_GROUP, "CustomResourceDefinition", name=kind["metadata"]["name"]))


def renew(kube: Kube, namespace: str, name: str) -> None:
    """Have a certificate issued again, as `cmctl renew` does it: by its condition Issuing."""
    now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    url = path(API, "Certificate", namespace, name)
    found = kube.request("GET", url)
    found["status"]["conditions"].append(
        {"type": "Issuing", "status": "True", "reason": "Renewed", "message": "asked for", "lastTransitionTime": now}
    )
    kube.request("PUT", f"{url}/status", found)


def revision(kube: Kube, namespace: str, name: str) -> int:
    """Return how often a certificate has been issued; 0 while it is not ready."""
    found = kube.get(path(API, "Certificate", namespace, name)) or {}
    return int(found["status"].get("revision", 0)) if condition(found, "Ready") else 0


def _kinds() -> list[Object]:
    """Return the definitions that the module has, written for Helm: without the labels that it would fill in."""
    folder = build.folder(TOOLS["cert-manager"]) / "crds"
    texts = [re.sub(r".*{{.*\n", "", file.read_text()) for file in sorted(folder.glob("crd-*.yaml"))]
    return [yaml.safe_load(text) for text in texts]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()

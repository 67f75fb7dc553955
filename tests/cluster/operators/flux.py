"""Flux's kustomize-controller, as a process of this machine, and artifacts for it in the place of a Git repository.

In: a cluster, texts of manifests. Out: they are applied again and again; what each reconciliation changed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import hashlib
import io
import json
import os
import subprocess
import tarfile
import threading
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import yaml

from tests.support.kubernetes.kube import Kube, path, program
from tests.support.tools import build
from tests.support.tools.table import TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.kubernetes.kube import Object

INTERVAL_SECONDS = 5
_SOURCES, _KUSTOMIZE = "source.toolkit.fluxcd.io/v1", "kustomize.toolkit.fluxcd.io/v1"
_DEFINITION = "apiextensions.k8s.io/v1"
_REVISION = "main@sha1:0000000000000000000000000000000000000000"
_OPTIONS = ("--metrics-addr=127.0.0.1:0", "--health-addr=127.0.0.1:0", "--feature-gates=ExternalArtifact=true")


@dataclass(frozen=True)
class Flux:
    """A running controller, and where it finds artifacts."""

    kube: Kube
    namespace: str
    folder: Path
    url: str

    def sync(self, name: str, text: str, *, after: str = "") -> None:
        """Have manifests applied, and kept; `after`: once all of another name is healthy, which it waits for."""
        archive = _artifact(text)
        (self.folder / f"{name}.tar.gz").write_bytes(archive)
        metadata = {"name": name, "namespace": self.namespace}
        self.kube.apply({"apiVersion": _SOURCES, "kind": "ExternalArtifact", "metadata": metadata, "spec": {}})
        url = path(_SOURCES, "ExternalArtifact", self.namespace, name)
        found = self.kube.request("GET", url)
        now = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {"type": "Ready", "status": "True", "reason": "Made", "message": "made", "lastTransitionTime": now}
        artifact = {
            "path": f"{name}.tar.gz",
            "url": f"{self.url}/{name}.tar.gz",
            "revision": _REVISION,
            "digest": f"sha256:{hashlib.sha256(archive).hexdigest()}",
            "lastUpdateTime": now,
        }
        self.kube.request("PUT", f"{url}/status", {**found, "status": {"artifact": artifact, "conditions": [ready]}})
        spec = {
            "interval": f"{INTERVAL_SECONDS}s",
            "path": "./",
            "prune": True,
            "wait": not after,
            "timeout": "2m",
            "sourceRef": {"kind": "ExternalArtifact", "name": name},
            "dependsOn": [{"name": after}] if after else [],
        }
        self.kube.apply({"apiVersion": _KUSTOMIZE, "kind": "Kustomization", "metadata": metadata, "spec": spec})

    def status(self, name: str) -> str:
        """Return what the controller says: "True", or its message."""
        found = self.kube.request("GET", path(_KUSTOMIZE, "Kustomization", self.namespace, name))
        conditions = found.get("status", {}).get("conditions", [])
        said = [each for each in conditions if each["type"] == "Ready"]
        return "" if not said else said[0]["status"] if said[0]["status"] == "True" else said[0]["message"]

    def changes(self, name: str) -> list[dict[str, str]]:
        """Return for each reconciliation of `name` what it did to each object."""
        lines = [json.loads(line) for line in self._log() if line.startswith("{")]
        return [
            line["output"]
            for line in lines
            if line["msg"] == "server-side apply completed" and line.get("Kustomization", {}).get("name") == name
        ]

    def remove(self, name: str) -> None:
        """Remove what was applied."""
        self.kube.delete(path(_KUSTOMIZE, "Kustomization", self.namespace, name))

    def gone(self, name: str) -> bool:
        """Tell whether all of it is removed."""
        return self.kube.get(path(_KUSTOMIZE, "Kustomization", self.namespace, name)) is None

    def _log(self) -> list[str]:
        return (self.folder / "controller.log").read_text().splitlines()


@contextlib.contextmanager
def running(kube: Kube, namespace: str, folder: Path) -> Iterator[Flux]:
    """Serve Flux's kinds and run its controller, for the time of a block."""
    build.ensure([TOOLS["flux-sources"]])
    command = [program("flux-kustomize-controller"), *_OPTIONS, "--log-encoding=json"]
    definitions = [
        yaml.safe_load(file.read_text())
        for row in ("flux-kustomize-controller", "flux-sources")
        for file in sorted((build.folder(TOOLS[row]) / "bases").glob("*.yaml"))
    ]
    kube.apply(*definitions, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    handler = functools.partial(_Quiet, directory=str(folder))
    environment = {**os.environ, "KUBECONFIG": str(kube.kubeconfig), "RUNTIME_NAMESPACE": namespace}
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, (folder / "controller.log").open("w") as log:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield Flux(kube, namespace, folder, f"http://127.0.0.1:{server.server_port}")
        finally:
            process.terminate()
            process.wait()
            server.shutdown()
    for definition in definitions:
        kube.delete(path(_DEFINITION, "CustomResourceDefinition", name=definition["metadata"]["name"]))
    kube.delete(path("v1", "Namespace", name=namespace))


class _Quiet(SimpleHTTPRequestHandler):
    """Files, without a line for each request."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _artifact(text: str) -> bytes:
    """Return an archive of manifests as Flux's sources make it of a repository."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in {"kustomization.yaml": "resources: [all.yaml]\n", "all.yaml": text}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    return made.getvalue()


def made_of(objects: list[Object]) -> str:
    """Return manifests as text."""
    return yaml.safe_dump_all(objects)

"""An API server without nodes, spoken to by kubectl and helm, for the chart's tests on it."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING, Any

from emulator import names
from tests.support.chart import rendering
from tests.support.clusters import health

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.chart.rendering import Object

NAMESPACE = "imds-emulator"
PATIENCE_SECONDS = 60.0
GATES = ("mutatingwebhookconfigurations", "validatingadmissionpolicies", "mutatingadmissionpolicies")


class Server:
    """An API server, spoken to by kubectl and helm."""

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        version = json.loads(self.kubectl("version", "-o", "json").stdout)["serverVersion"]["gitVersion"]
        self.version = str(version)
        self.minor = int(self.version.split(".")[1])

    def kubectl(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl; `given` is its standard input."""
        command = [*health.kubectl(self._kubeconfig), *arguments]
        return subprocess.run(command, input=given, capture_output=True, text=True, check=False)

    def done(self, *arguments: str, given: str = "") -> str:
        """Return what kubectl prints; fails with its complaint."""
        result = self.kubectl(*arguments, given=given)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def helm(self, *arguments: str) -> str:
        """Return what helm prints, for the release `imds-emulator` of the namespace of that name."""
        return rendering.helm(*arguments, "--kubeconfig", str(self._kubeconfig), "--namespace", NAMESPACE)

    def get(self, *arguments: str) -> Any:  # noqa: ANN401 - decoded JSON
        """Return decoded JSON of `kubectl get`."""
        return json.loads(self.done("get", *arguments, "-o", "json"))

    def try_pod(self, *, label: str | None = "True") -> str:
        """Return the complaint about a pod in `team-a`, created by dry run, or ''."""
        return self.kubectl("create", "--dry-run=server", "-f", "-", given=json.dumps(pod(label))).stderr.strip()

    def wait_for(self, text: str, *, label: str = "True") -> None:
        """Wait until the API server answers a labelled pod with a complaint that holds `text`, or with none for ''."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (text == "") != ((found := self.try_pod(label=label)) == "") or text not in found:
            assert time.monotonic() < deadline, f"still: {found or 'admitted'}"
            time.sleep(0.2)


def furnished(kubeconfig: Path) -> Server:
    """Return the server with what the controllers would put there."""
    found = Server(kubeconfig)
    for namespace in (NAMESPACE, "team-a"):
        found.done("create", "namespace", namespace)
        found.done("create", "serviceaccount", "default", "-n", namespace)
    return found


def gates(server: Server) -> list[str]:
    """Return the cluster-wide kinds of ours that the server knows, for kubectl."""
    known = server.done("api-resources", "-o", "name")
    kinds = [name for name in GATES if f"{name}." in known]
    bindings = [f"{name.removesuffix('ies')}ybindings" for name in kinds if name.endswith("policies")]
    return [",".join([*kinds, *bindings])]


def pod(label: str | None = "True") -> Object:
    """Return a pod of `team-a`."""
    metadata: Object = {"name": "app", "namespace": "team-a"}
    if label is not None:
        metadata["labels"] = {names.LABEL_ENABLED: label}
        metadata["annotations"] = {names.ANNOTATION_ROLE_ARN: "arn:aws:iam::123456789012:role/app-role"}
    spec = {"containers": [{"name": "app", "image": "app:1"}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}

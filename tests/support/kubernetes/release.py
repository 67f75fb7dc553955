"""The chart on a cluster, put there and taken away by helm as an operator would.

In: a cluster, a release's name and namespace, values. Out: an installed release whose admission works.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator import names
from tests.support.kubernetes.kube import Kube, Object, RefusedError, path, program, wait_for
from tests.support.kubernetes.pods import CLIENT_CONFIG

CHART = Path(__file__).parents[3] / "charts" / "imds-emulator"

STARTUP_SECONDS = 60
"""How long an app is held back without credentials: the chart's default."""

# Little: the control plane of a small kind cluster asks for half of its node, and many pods run at the same time.
_RESOURCES = {"requests": {"cpu": "5m"}}
VALUES: dict[str, Any] = {
    "sts": {"caBundleConfigMap": CLIENT_CONFIG},
    "sidecar": {"imagePullSecrets": [{"name": "registry-of-the-platform"}], "resources": _RESOURCES},
    "redirect": {"resources": _RESOURCES},
}
"""The values of the tests."""

_INSTALL_SECONDS = 120
_WORKING_SECONDS = 30
_REGISTRATION = "admissionregistration.k8s.io/v1"


@dataclass(frozen=True)
class Release:
    """One release of the chart."""

    kube: Kube
    name: str
    namespace: str

    def install(self, values: dict[str, Any], chart: Path = CHART) -> None:
        """Install or upgrade; return once a labelled pod would be injected."""
        wait = ("--wait", f"--timeout={_INSTALL_SECONDS}s")
        arguments = ("--install", self.name, str(chart), "--create-namespace", "--values=-", *wait)
        self.helm("upgrade", *arguments, stdin=json.dumps(values))
        wait_for("a labelled pod is injected", self.works, _WORKING_SECONDS)

    def rollback(self) -> None:
        """Go back to the revision before; return when its pods are ready."""
        self.helm("rollback", self.name, "--wait", f"--timeout={_INSTALL_SECONDS}s")

    def test(self) -> str:
        """Run `helm test`; return what helm says of each of its pods."""
        return self.helm("test", self.name, f"--timeout={_INSTALL_SECONDS}s")

    def uninstall(self) -> None:
        """Uninstall, and remove the namespace; nothing happens if there is no release."""
        self.helm("uninstall", self.name, "--ignore-not-found", "--wait", f"--timeout={_INSTALL_SECONDS}s")
        self.kube.delete(path("v1", "Namespace", name=self.namespace))

    def pods(self) -> list[Object]:
        """Return the webhook's pods."""
        return self.kube.pods(self.namespace, "app.kubernetes.io/name=imds-emulator")

    def works(self) -> bool:
        """Tell whether the dry run of a labelled pod in `default` comes back injected."""
        pod: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "generateName": "admission-",
                "namespace": "default",
                "labels": {names.LABEL_ENABLED: names.LABEL_ENABLED_VALUE},
                "annotations": {names.ANNOTATION_ROLE_ARN: "arn:aws:iam::123456789012:role/app-role"},
            },
            "spec": {"containers": [{"name": "app", "image": "app:1"}]},
        }
        try:
            return names.EMULATOR_CONTAINER in containers(self.kube.create(pod, dry_run=True))
        except RefusedError:
            return False

    def helm(self, *arguments: str, stdin: str = "") -> str:
        """Run helm; return its output. Raises RuntimeError with its complaint."""
        argv = [program("helm"), "--kubeconfig", str(self.kube.kubeconfig), "--namespace", self.namespace, *arguments]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"helm {arguments[0]} {self.name}: {done.stderr.strip()}")
        return done.stdout


def containers(pod: Object) -> list[str]:
    """Return the names of all containers of a pod, those of initContainers first."""
    return [each["name"] for field in ("initContainers", "containers") for each in pod["spec"].get(field) or []]


def others(kube: Kube, namespace: str) -> list[str]:
    """Return the names of webhook configurations of this chart that belong to a release in another namespace."""
    found = kube.request("GET", path(_REGISTRATION, "MutatingWebhookConfiguration"))["items"]
    return [
        f"{each['metadata']['annotations'].get('meta.helm.sh/release-namespace', '?')}/{each['metadata']['name']}"
        for each in found
        if each["metadata"].get("labels", {}).get("app.kubernetes.io/name") == "imds-emulator"
        and each["metadata"].get("annotations", {}).get("meta.helm.sh/release-namespace") != namespace
    ]

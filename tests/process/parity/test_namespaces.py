"""Namespaces that ask something of every pod: Pod Security, ResourceQuota, LimitRange."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from emulator import names
from tests.process.parity.modes import BY_NAME, make_namespace

if TYPE_CHECKING:
    from tests.process.parity.modes import Mode

Object = dict[str, Any]

# What the level asks of the app's own container. Source: Kubernetes documentation, "Pod Security Standards".
RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
NUMBERS = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}


def pod_with(app: Object, redirect: str = "iptables") -> Object:
    """Return the plain pod with fields of its container, and a redirect of its own."""
    pod = copy.deepcopy(BY_NAME["plain"].pod)
    pod["spec"]["containers"][0] |= app
    pod["metadata"]["annotations"][names.ANNOTATION_REDIRECT] = redirect
    return pod


def namespace(mode: Mode, name: str, labels: dict[str, str] | None = None) -> str:
    """Make a namespace under the default parameters."""
    assert mode.admit(BY_NAME["plain"], None).message == ""
    metadata = {"name": name, "labels": labels or {}}
    make_namespace(mode.api, metadata, BY_NAME["plain"].parameters)
    return name


@pytest.mark.claim("S25")
def test_pod_security(mode: Mode) -> None:
    """Below `privileged` the redirect alone is refused; with `env` the pod passes even at `restricted`."""
    pod = pod_with({"securityContext": RESTRICTED})
    for level in ("baseline", "restricted"):
        at = namespace(mode, f"pod-security-{level}", {"pod-security.kubernetes.io/enforce": level})
        refused = mode.api.try_pod(at, pod)

        assert refused.status == 403
        assert "violates PodSecurity" in refused.message
        assert f'container "{names.REDIRECT_CONTAINER}"' in refused.message
        assert f'container "{names.EMULATOR_CONTAINER}"' not in refused.message
        assert mode.api.try_pod(at, pod_with({"securityContext": RESTRICTED}, "env")).message == ""


def test_quota(mode: Mode) -> None:
    """A quota on all four numbers lets the pod in, since both containers have them."""
    at = namespace(mode, "quota")
    hard = {f"{kind}.{what}": "10" for kind in ("requests", "limits") for what in ("cpu", "memory")}
    hard = {key: "10Gi" if key.endswith("memory") else value for key, value in hard.items()}
    quotas = f"/api/v1/namespaces/{at}/resourcequotas"
    quota = mode.api.create(quotas, {"metadata": {"name": "all"}, "spec": {"hard": hard}}).object
    # As the controller would, which an API server alone does not have; the plugin goes by the status.
    quota["status"] = {"hard": hard, "used": dict.fromkeys(hard, "0")}
    assert mode.api.send("PUT", f"{quotas}/all/status", quota).message == ""

    assert "must specify limits.cpu for: app" in mode.api.try_pod(at, pod_with({})).message
    assert mode.api.try_pod(at, pod_with({"resources": NUMBERS})).message == ""


def test_limit_range(mode: Mode) -> None:
    """Defaults of a LimitRange fill what the app leaves out, and leave our containers' numbers as they are."""
    at = namespace(mode, "limit-range")
    limit = {
        "type": "Container",
        "default": {"cpu": "2", "memory": "2Gi"},
        "defaultRequest": {"cpu": "1", "memory": "1Gi"},
    }
    mode.api.create(f"/api/v1/namespaces/{at}/limitranges", {"metadata": {"name": "all"}, "spec": {"limits": [limit]}})
    spec = mode.api.try_pod(at, pod_with({})).object["spec"]

    found = {c["name"]: c["resources"]["limits"]["memory"] for c in [*spec["initContainers"], *spec["containers"]]}
    expected = BY_NAME["plain"].parameters
    assert {
        names.REDIRECT_CONTAINER: expected["redirectMemoryLimit"],
        names.EMULATOR_CONTAINER: expected["emulatorMemoryLimit"],
        "app": "2Gi",
    } == found

"""What the injected containers ask for, as the API server takes it: quality of service, limits, quotas."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from emulator import names
from tests.process.parity.modes import BY_NAME, POD_RESOURCES, make_namespace
from tests.support.pod_files.cases import PARAMETERS

if TYPE_CHECKING:
    from tests.process.parity.modes import Mode

Object = dict[str, Any]

LIMITED = "limited"
# The least that clusters commonly ask for.
LIMITS = {
    "type": "Container",
    "min": {"cpu": "10m", "memory": "32Mi"},
    "max": {"cpu": "400m", "memory": "512Mi"},
    "default": {"cpu": "100m", "memory": "64Mi"},
    "defaultRequest": {"cpu": "50m", "memory": "64Mi"},
    "maxLimitRequestRatio": {"cpu": "10"},
}
QUOTA = {"requests.cpu": "2", "requests.memory": "4Gi", "limits.cpu": "2", "limits.memory": "4Gi"}


@pytest.fixture(scope="module")
def limited(mode: Mode) -> str:
    """Return a namespace with a LimitRange and a ResourceQuota."""
    make_namespace(mode.api, {"name": LIMITED}, PARAMETERS)
    path = f"/api/v1/namespaces/{LIMITED}"
    mode.api.create(f"{path}/limitranges", {"metadata": {"name": "limits"}, "spec": {"limits": [LIMITS]}})
    quota = {"metadata": {"name": "quota"}, "spec": {"hard": QUOTA}, "status": {"hard": QUOTA}}
    mode.api.create(f"{path}/resourcequotas", quota)
    # As the controller does: without a status the quota's admission waits for it.
    used = {"status": {"hard": QUOTA, "used": dict.fromkeys(QUOTA, "0")}}
    answer = mode.api.send("PATCH", f"{path}/resourcequotas/quota/status", used)
    assert answer.message == ""
    return LIMITED


def qos(mode: Mode, name: str) -> str:
    """Return the quality of service that a case's pod gets."""
    answer = mode.admit(BY_NAME[name], None)
    assert answer.message == ""
    return str(answer.object["status"]["qosClass"])


@pytest.mark.parametrize(
    "name", ["guaranteed", "guaranteed-annotated", "guaranteed-by-request", "guaranteed-without-limits"]
)
def test_guaranteed_stays_guaranteed(mode: Mode, name: str) -> None:
    """A pod that is Guaranteed by itself is so with our containers."""
    assert qos(mode, name) == "Guaranteed"


@pytest.mark.parametrize("name", ["guaranteed-but-init", "guaranteed-but-request", "plain"])
def test_others_are_burstable(mode: Mode, name: str) -> None:
    """Others are given the installation's numbers, with requests below the limits."""
    assert qos(mode, name) == "Burstable"


def test_resources_of_the_pod(mode: Mode) -> None:
    """The pod's requests come from its limits, as they do without the injection, which keeps it Guaranteed."""
    if mode.minor < POD_RESOURCES:
        pytest.skip("the API server has no resources of a pod")
    spec = mode.admit(BY_NAME["pod-resources-limits"], None).object["spec"]

    assert {"cpu": "200m", "memory": "128Mi"} == spec["resources"]["requests"]
    assert qos(mode, "pod-resources-limits") == qos(mode, "pod-resources") == "Guaranteed"


def test_limits_of_a_namespace(mode: Mode, limited: str) -> None:
    """At the defaults a pod fits the usual LimitRange and a ResourceQuota."""
    answer = mode.api.try_pod(limited, BY_NAME["plain"].pod)

    assert answer.message == ""
    named = {names.REDIRECT_CONTAINER, names.EMULATOR_CONTAINER}
    spec = answer.object["spec"]
    assert named <= {c["name"] for c in [*spec["initContainers"], *spec["containers"]]}


def test_numbers_by_annotation(mode: Mode, limited: str) -> None:
    """What a LimitRange refuses, the pod's owner can set right."""
    pod = copy.deepcopy(BY_NAME["plain"].pod)
    pod["metadata"]["annotations"][names.ANNOTATION_CPU_REQUEST] = "10m"
    refusal = mode.api.try_pod(limited, pod).message
    assert "cpu max limit to request ratio per Container is 10, but provided ratio is 20" in refusal

    pod["metadata"]["annotations"][names.ANNOTATION_CPU_LIMIT] = "100m"
    assert mode.api.try_pod(limited, pod).message == ""

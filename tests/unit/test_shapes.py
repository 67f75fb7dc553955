"""What a pod must look like before anything else is asked about it."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.injection.shapes import shape_fault

APP = {"name": "app"}


def pod(path: str, value: object) -> dict[str, Any]:
    """Return a pod of one container with this value at a path; a number in the path is an index."""
    made: dict[str, Any] = {"metadata": {}, "spec": {"containers": [{**APP, "env": [{"name": "A"}]}]}}
    at: Any = made
    *before, last = path.split(".")
    for step in before:
        at = at[int(step)] if step.isdigit() else at.setdefault(step, {})
    at[int(last) if last.isdigit() else last] = value
    return made


def test_none() -> None:
    """A field that is left out, or null, is as good as none."""
    fields = ("nodeSelector", "securityContext", "os", "initContainers", "volumes", "imagePullSecrets", "hostNetwork")

    assert "" == shape_fault({"spec": {"containers": [APP]}})
    assert "" == shape_fault({"metadata": None, "spec": {"containers": [APP], **dict.fromkeys(fields)}})


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("metadata", "x", 'metadata: Invalid value: "x": must be an object'),
        ("spec", "x", 'spec: Invalid value: "x": must be an object'),
        ("metadata.labels", ["x"], 'metadata.labels: Invalid value: ["x"]: must be an object'),
        ("metadata.annotations", ["x"], 'metadata.annotations: Invalid value: ["x"]: must be an object'),
        ("spec.nodeSelector", "x", 'spec.nodeSelector: Invalid value: "x": must be an object'),
        ("spec.securityContext", [], "spec.securityContext: Invalid value: []: must be an object"),
        ("spec.os", "linux", 'spec.os: Invalid value: "linux": must be an object'),
        ("spec.containers", {}, "spec.containers: Invalid value: {}: must be a list"),
        ("spec.initContainers", {}, "spec.initContainers: Invalid value: {}: must be a list"),
        ("spec.volumes", {}, "spec.volumes: Invalid value: {}: must be a list"),
        ("spec.imagePullSecrets", {}, "spec.imagePullSecrets: Invalid value: {}: must be a list"),
        ("spec.hostNetwork", "true", 'spec.hostNetwork: Invalid value: "true": must be true or false'),
        ("spec.hostPID", 1, "spec.hostPID: Invalid value: 1: must be true or false"),
        ("spec.shareProcessNamespace", 0, "spec.shareProcessNamespace: Invalid value: 0: must be true or false"),
        ("metadata.labels", {"a": True}, "metadata.labels['a']: Invalid value: true: must be a string; quote it"),
        ("metadata.annotations", {"a": 1}, "metadata.annotations['a']: Invalid value: 1: must be a string; quote it"),
        ("spec.containers", ["app"], 'spec.containers[0]: Invalid value: "app": must be an object'),
        ("spec.initContainers", [{}], "spec.initContainers[0].name: Required value: must be a string; quote it"),
        ("spec.volumes", [{"name": 1}], "spec.volumes[0].name: Invalid value: 1: must be a string; quote it"),
        ("spec.imagePullSecrets", ["x"], 'spec.imagePullSecrets[0]: Invalid value: "x": must be an object'),
        ("spec.containers.0.env", {}, "spec.containers[0].env: Invalid value: {}: must be a list of objects"),
        ("spec.containers.0.ports", [80], "spec.containers[0].ports: Invalid value: [80]: must be a list of objects"),
        (
            "spec.containers.0.volumeMounts",
            1,
            "spec.containers[0].volumeMounts: Invalid value: 1: must be a list of objects",
        ),
        (
            "spec.containers.0.env.0.name",
            1,
            "spec.containers[0].env[0].name: Invalid value: 1: must be a string; quote it",
        ),
    ],
)
def test_fault(path: str, value: object, expected: str) -> None:
    """Each field that the injection looks at is named where it has another shape than Kubernetes' API gives it."""
    assert expected == shape_fault(pod(path, value))

"""The webhook's pods and images: what the values say arrives unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from emulator import __version__, names
from tests.support.chart.rendering import (
    objects,
    one,
    pod_spec,
    values_file,
    webhook,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("options", "expected"),
    {
        (): f"imds-emulator/emulator:{__version__}",
        ("image.tag=1.10",): "imds-emulator/emulator:1.10",
        ("global.imageRegistry=reg.example:5000",): f"reg.example:5000/imds-emulator/emulator:{__version__}",
        (
            "global.imageRegistry=a.example",
            "image.registry=b.example/",
        ): f"b.example/imds-emulator/emulator:{__version__}",
        ("image.repository=reg.example:5000/p/emulator",): f"reg.example:5000/p/emulator:{__version__}",
        (
            "global.imageRegistry=mirror.example",
            "image.repository=reg.example:5000/p/emulator",
        ): f"reg.example:5000/p/emulator:{__version__}",
        (
            "global.imageRegistry=a.example",
            "image.repository=p/q.r/emulator",
        ): f"a.example/p/q.r/emulator:{__version__}",
        ("global.imageRegistry=a.example", "image.repository=localhost/p"): f"localhost/p:{__version__}",
        (f"image.digest=sha256:{'0' * 64}", "image.tag=x"): f"imds-emulator/emulator@sha256:{'0' * 64}",
    }.items(),
)
def test_image(options: tuple[str, ...], expected: str) -> None:
    """The webhook and the sidecar have one image; it has one registry, its own, else the global one."""
    found = objects(*(f"--set-string={option}" for option in options))

    assert (expected, expected) == (
        pod_spec(found)["containers"][0]["image"],
        one(found, "ConfigMap", "-parameters")["data"]["emulatorImage"],
    )


def test_pull_secrets(tmp_path: Path) -> None:
    """Pull secrets of the webhook and of injected pods are two settings."""
    values = values_file(
        tmp_path, "imagePullSecrets: [{name: reg}]\nsidecar: {imagePullSecrets: [{name: a}, {name: b}]}\n"
    )
    found = objects(values)

    assert [{"name": "reg"}] == pod_spec(found)["imagePullSecrets"]
    assert "a,b" == one(found, "ConfigMap", "-parameters")["data"]["imagePullSecrets"]


def test_quoted_labels(tmp_path: Path) -> None:
    """Labels and annotations that look like other types stay strings; a selector can't be changed by them."""
    values = values_file(
        tmp_path,
        """
        commonLabels: {example.com/team: "007"}
        podLabels: {example.com/a: "true", example.com/b: "1.10", example.com/c: "True", app.kubernetes.io/name: other}
        podAnnotations: {example.com/d: "0123", example.com/e: "null"}
        """,
    )
    found = objects(values)
    metadata = one(found, "Deployment")["spec"]["template"]["metadata"]
    annotations = {key: value for key, value in metadata["annotations"].items() if key.startswith("example.com/")}

    assert {
        "app.kubernetes.io/name": "imds-emulator",
        "app.kubernetes.io/instance": "imds-emulator",
        "example.com/team": "007",
        "example.com/a": "true",
        "example.com/b": "1.10",
        "example.com/c": "True",
    } == metadata["labels"]
    assert {"example.com/d": "0123", "example.com/e": "null"} == annotations
    assert {"007"} == {item["metadata"]["labels"]["example.com/team"] for item in found}


def test_names_like_other_types() -> None:
    """A namespace called 123 or true stays a string."""
    for namespace in ("123", "true"):
        found = objects(namespace=namespace)

        assert {namespace} == {item["metadata"].get("namespace", namespace) for item in found}
        assert namespace in webhook(found)["namespaceSelector"]["matchExpressions"][0]["values"]


def test_pass_through(tmp_path: Path) -> None:
    """The knobs of the webhook's pods arrive unchanged."""
    values = values_file(
        tmp_path,
        """
        replicas: 3
        resources: {requests: {cpu: 1m}}
        priorityClassName: ""
        nodeSelector: {pool: infra}
        strategy: {type: Recreate}
        tolerations: [{key: infra, operator: Exists}]
        affinity: {nodeAffinity: {}}
        topologySpreadConstraints: [{topologyKey: rack, maxSkew: 1, whenUnsatisfiable: DoNotSchedule}]
        extraEnv: [{name: IMDS_EMULATOR_DRAIN_SECONDS, value: "1"}]
        extraVolumes: [{name: x, emptyDir: {}}]
        extraVolumeMounts: [{name: x, mountPath: /x}]
        hostNetwork: true
        dnsPolicy: ClusterFirstWithHostNet
        ports: {webhook: 9443, health: 9444, service: 444}
        serviceAccount: {name: sa, annotations: {a: b}}
        admission: {timeoutSeconds: 3, annotations: {c: d}}
        podDisruptionBudget: {maxUnavailable: 50%}
        """,
    )
    found = objects(values)
    spec = pod_spec(found)
    container = spec["containers"][0]

    assert 3 == one(found, "Deployment")["spec"]["replicas"]
    assert {
        "serviceAccountName": "sa",
        "hostNetwork": True,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "nodeSelector": {"kubernetes.io/os": "linux", "pool": "infra"},
        "tolerations": [{"key": "infra", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [{"topologyKey": "rack", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}],
    } == {key: spec[key] for key in (*PASSED, "serviceAccountName")}
    assert {"priorityClassName", "runtimeClassName"}.isdisjoint(spec)
    assert {
        "requests": {"cpu": "1m", "memory": "48Mi"},
        "limits": {"cpu": "1", "memory": "128Mi"},
    } == container["resources"]
    assert {"name": "IMDS_EMULATOR_DRAIN_SECONDS", "value": "1"} == container["env"][-1]
    assert {"name": "x", "mountPath": "/x"} == container["volumeMounts"][-1]
    assert {"name": "x", "emptyDir": {}} == spec["volumes"][-1]
    assert {"https": 9443, "health": 9444} == {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {"https": 444, "health": 9444} == {
        port["name"]: port["port"] for port in one(found, "Service")["spec"]["ports"]
    }
    assert 444 == webhook(found)["clientConfig"]["service"]["port"]
    assert ("sa", {"a": "b"}) == tuple(one(found, "ServiceAccount")["metadata"][key] for key in ("name", "annotations"))
    assert (3, "d") == (
        webhook(found)["timeoutSeconds"],
        one(found, "MutatingWebhookConfiguration")["metadata"]["annotations"]["c"],
    )
    assert "50%" == one(found, "PodDisruptionBudget")["spec"]["maxUnavailable"]


PASSED = ("hostNetwork", "dnsPolicy", "nodeSelector", "tolerations", "affinity", "topologySpreadConstraints")


@pytest.mark.claim("S24")
def test_least_privilege_of_the_pod() -> None:
    """The webhook runs as a user of its own without capabilities, on a root file system that it can't write."""
    spec = pod_spec(objects())

    assert {
        "runAsNonRoot": True,
        "runAsUser": names.EMULATOR_UID,
        "runAsGroup": names.EMULATOR_GID,
        "seccompProfile": {"type": "RuntimeDefault"},
    } == spec["securityContext"]
    assert {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    } == spec["containers"][0]["securityContext"]


def test_selectors_agree() -> None:
    """Service, Deployment, disruption budget and spread select the webhook's pods by the same two labels."""
    found = objects(release="r")
    expected = {"app.kubernetes.io/name": "imds-emulator", "app.kubernetes.io/instance": "r"}
    deployment = one(found, "Deployment")["spec"]

    assert expected == one(found, "Service")["spec"]["selector"]
    assert expected == deployment["selector"]["matchLabels"]
    assert expected.items() <= deployment["template"]["metadata"]["labels"].items()
    assert expected == one(found, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    assert [expected] * 2 == [
        spread["labelSelector"]["matchLabels"] for spread in deployment["template"]["spec"]["topologySpreadConstraints"]
    ]

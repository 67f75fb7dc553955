"""The install by kustomize is the chart's at default values, and survives what a kustomization on top does to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from emulator import __version__, names
from emulator.injection.cel_text import PARAMETERS
from tests.support.chart import rendering
from tests.support.kustomize.building import (
    ROOT,
    KustomizeError,
    build_from,
    kubectl_kustomize,
    kustomize,
    objects,
    one,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kustomize.building import Object

FORMS = {
    "webhook": "resources: [ROOT/install]\n",
    "policy": "resources: [ROOT/install/common]\ncomponents: [ROOT/install/policy]\n",
}
HELM_LABELS = ("helm.sh/chart", "app.kubernetes.io/managed-by")
MOVED = """
namespace: plat
namePrefix: x-
nameSuffix: -y
"""


def normalised(found: list[Object]) -> dict[tuple[str, str], Object]:
    """Return the objects by kind and name, without what only one of the two makers writes."""
    result = {}
    for item in found:
        labels = item["metadata"].get("labels", {})
        for label in HELM_LABELS:
            labels.pop(label, None)
        if item["kind"] == "Deployment":
            item["spec"]["template"]["metadata"]["annotations"].pop("checksum/parameters", None)
        if "AdmissionPolicy" in item["kind"]:
            spec = item["spec"]
            spec.pop("paramKind", None)
            spec["variables"] = [each for each in spec.get("variables", []) if each["name"] != PARAMETERS]
        result[item["kind"], item["metadata"]["name"]] = item
    return result


@pytest.mark.parametrize("form", FORMS)
def test_same_as_the_chart(form: str, tmp_path: Path) -> None:
    """Both forms are `helm template` at default values; the Namespace, which Helm makes by option, apart."""
    expected = normalised(rendering.objects(f"--set=mode={form}"))

    actual = normalised(build_from(tmp_path, FORMS[form]))

    assert {"name": "imds-emulator"} == actual.pop(("Namespace", "imds-emulator"))["metadata"]
    assert expected == actual


def test_both_programs() -> None:
    """`kustomize build` and `kubectl kustomize` make the same text."""
    assert kustomize(ROOT / "install") == kubectl_kustomize(ROOT / "install")


def test_moved_and_renamed(tmp_path: Path) -> None:
    """After namespace, prefix and suffix all references still meet, also those in env and RBAC rules."""
    found = build_from(tmp_path, FORMS["webhook"] + MOVED)
    service = one(found, "Service")
    configuration = one(found, "MutatingWebhookConfiguration")
    deployment = one(found, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    environment = {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}
    account = {"kind": "ServiceAccount", "name": one(found, "ServiceAccount")["metadata"]["name"], "namespace": "plat"}

    assert {"x-imds-emulator-y"} == {item["metadata"]["name"] for item in (service, configuration, deployment)}
    assert {"name": "x-imds-emulator-y", "namespace": "plat", "path": "/mutate", "port": 443} == configuration[
        "webhooks"
    ][0]["clientConfig"]["service"]
    assert configuration["metadata"]["name"] == environment[names.ENV_WEBHOOK_CONFIGURATION]
    assert one(found, "Secret")["metadata"]["name"] == environment[names.ENV_CERTIFICATE_SECRET]
    assert [one(found, "Secret")["metadata"]["name"]] == one(found, "Role")["rules"][0]["resourceNames"]
    assert [configuration["metadata"]["name"]] == one(found, "ClusterRole")["rules"][0]["resourceNames"]
    assert ([account], [account]) == (
        one(found, "RoleBinding")["subjects"],
        one(found, "ClusterRoleBinding")["subjects"],
    )
    assert account["name"] == pod["serviceAccountName"]
    assert one(found, "ConfigMap")["metadata"]["name"] == pod["volumes"][0]["configMap"]["name"]
    assert "plat" == one(found, "Namespace")["metadata"]["name"]


@pytest.mark.parametrize("form", FORMS)
def test_policies_read_the_config_map(form: str, tmp_path: Path) -> None:
    """Each policy that needs parameters has them from the ConfigMap, where kustomizations on top can change them."""
    found = build_from(tmp_path, FORMS[form])
    policies = [item["spec"] for item in found if item["kind"].endswith("AdmissionPolicy")]
    variables = [policy["variables"][0] for policy in policies if f"variables.{PARAMETERS}." in json.dumps(policy)]

    assert [{"name": PARAMETERS, "expression": "params.data"}] * (1 if form == "webhook" else 3) == variables
    assert [{"apiVersion": "v1", "kind": "ConfigMap"}] * len(policies) == [policy["paramKind"] for policy in policies]


@pytest.mark.parametrize("form", FORMS)
def test_policies_after_moving(form: str, tmp_path: Path) -> None:
    """Bindings find their policy and their ConfigMap, and the own namespace stays left alone."""
    found = build_from(tmp_path, FORMS[form] + MOVED)
    policies = {item["metadata"]["name"] for item in found if item["kind"].endswith("AdmissionPolicy")}
    bindings = [item["spec"] for item in found if item["kind"].endswith("AdmissionPolicyBinding")]
    selectors = [
        item["spec"]["matchConstraints"]["namespaceSelector"]
        for item in found
        if item["kind"].endswith("AdmissionPolicy")
    ]
    if form == "webhook":
        selectors.append(one(found, "MutatingWebhookConfiguration")["webhooks"][0]["namespaceSelector"])

    expected = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "plat"]}
    assert policies == {binding["policyName"] for binding in bindings}
    assert {("x-imds-emulator-parameters-y", "plat")} == {
        (binding["paramRef"]["name"], binding["paramRef"]["namespace"]) for binding in bindings
    }
    assert [{"matchExpressions": [expected]}] * len(selectors) == selectors


def test_labels_with_selectors(tmp_path: Path) -> None:
    """Labels put into selectors reach all three together, and not what selects the users' pods."""
    found = build_from(tmp_path, FORMS["webhook"] + "labels: [{pairs: {team: infra}, includeSelectors: true}]\n")
    before = objects(kustomize(ROOT / "install"))
    deployment = one(found, "Deployment")["spec"]
    selector = {
        "app.kubernetes.io/name": "imds-emulator",
        "app.kubernetes.io/instance": "imds-emulator",
        "team": "infra",
    }

    assert selector == one(found, "Service")["spec"]["selector"]
    assert selector == deployment["selector"]["matchLabels"]
    assert selector == one(found, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    assert selector.items() <= deployment["template"]["metadata"]["labels"].items()
    assert (
        one(before, "MutatingWebhookConfiguration")["webhooks"]
        == one(found, "MutatingWebhookConfiguration")["webhooks"]
    )
    assert (
        one(before, "ValidatingAdmissionPolicy", "-guard")["spec"]
        == one(found, "ValidatingAdmissionPolicy", "-guard")["spec"]
    )


def test_images(tmp_path: Path) -> None:
    """`images` reaches the webhook and the parameters of the injection."""
    images = """
images:
  - {name: imds-emulator/emulator, newName: reg.example/p/emulator, newTag: "9"}
  - {name: imds-emulator/redirect, newName: reg.example/p/redirect, digest: "sha256:0"}
"""
    found = build_from(tmp_path, FORMS["webhook"] + images)
    data = one(found, "ConfigMap")["data"]

    assert ("reg.example/p/emulator:9", "reg.example/p/redirect@sha256:0") == (
        data["emulatorImage"],
        data["redirectImage"],
    )
    assert "reg.example/p/emulator:9" == one(found, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"]


def test_default_images() -> None:
    """The images of the install are those of this version."""
    data = one(objects(kustomize(ROOT / "install")), "ConfigMap")["data"]

    assert (f"imds-emulator/emulator:{__version__}", f"imds-emulator/redirect:{__version__}") == (
        data["emulatorImage"],
        data["redirectImage"],
    )


def test_replicas(tmp_path: Path) -> None:
    """`replicas` reaches the webhook."""
    found = build_from(tmp_path, FORMS["webhook"] + "replicas: [{name: imds-emulator, count: 3}]\n")

    assert 3 == one(found, "Deployment")["spec"]["replicas"]


@pytest.mark.parametrize("form", FORMS)
def test_parameters(form: str, tmp_path: Path) -> None:
    """A generator that merges sets a parameter; the hash that it puts behind the name is followed everywhere."""
    setting = """
configMapGenerator:
  - {name: imds-emulator-parameters, namespace: imds-emulator, behavior: merge, literals: [region=eu-west-1]}
"""
    found = build_from(tmp_path, FORMS[form] + setting)
    (config_map,) = [item for item in found if item["kind"] == "ConfigMap"]
    bindings = [item["spec"] for item in found if item["kind"].endswith("AdmissionPolicyBinding")]

    assert ("eu-west-1", "v1") == (config_map["data"]["region"], config_map["data"]["imdsVersion"])
    assert {config_map["metadata"]["name"]} == {binding["paramRef"]["name"] for binding in bindings}
    if form == "webhook":
        volume = one(found, "Deployment")["spec"]["template"]["spec"]["volumes"][0]
        assert config_map["metadata"]["name"] == volume["configMap"]["name"]


def test_a_namespace_twice(tmp_path: Path) -> None:
    """The install brings its Namespace; one of the user's own is refused by kustomize, not doubled."""
    own = "apiVersion: v1\nkind: Namespace\nmetadata: {name: plat}\n"

    with pytest.raises(KustomizeError, match="namespace transformation produces ID conflict"):
        build_from(tmp_path, "namespace: plat\nresources: [ROOT/install, own.yaml]\n", own=own)

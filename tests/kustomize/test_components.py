"""The components for app repositories: `enable`, and the sidecar built in at build time in three forms."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from emulator import names, patch
from emulator.facts import Facts
from emulator.render_components import WORKLOADS
from tests.kustomize.building import ROOT, KustomizeError, build_from, objects, one
from tests.pods import cases, pure

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kustomize.building import Object

ROLE = "arn:aws:iam::123456789012:role/app-role"
CONSUMER = """
resources: [app.yaml]
components: [ROOT/components/{component}]
configMapGenerator:
  - {{name: imds-emulator, literals: ["roleArn={role}"]}}
"""
KINDS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod")
DEFAULTS: dict[str, str] = yaml.safe_load((ROOT / "install" / "common" / "configmap.yaml").read_text())["data"]
# What a sidecar component stands for: the parameters and the annotation that make the webhook do the same.
FORMS = {
    "sidecar": ("native", "iptables"),
    "sidecar-classic": ("classic", "iptables"),
    "sidecar-env": ("native", "env"),
}


def consumer(component: str, role: str = ROLE) -> str:
    """Return the kustomization of an app that uses a component."""
    return CONSUMER.format(component=component, role=role)


def workload(kind: str, template: Object) -> Object:
    """Return a workload of a kind with a pod template."""
    (row,) = [row for row in WORKLOADS if re.fullmatch(row.kinds, kind)]
    api_version = "batch/v1" if kind in ("Job", "CronJob") else row.api_version
    body = copy.deepcopy(template)
    for key in reversed(row.template):
        body = {key: body}
    return {
        **body,
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {**body.get("metadata", {}), "name": kind.lower()},
    }


def template_of(item: Object) -> Object:
    """Return the pod template of a workload; of a Pod itself, metadata and spec."""
    (row,) = [row for row in WORKLOADS if re.fullmatch(row.kinds, item["kind"])]
    found: Any = item
    for key in row.template:
        found = found[key]
    return {key: value for key, value in found.items() if key in ("metadata", "spec")}


PLAIN: Object = {"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}
OTHERS = """
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {selector: {app: a}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: b}
---
apiVersion: example.com/v1
kind: MyDeployment
metadata: {name: m}
spec: {template: {metadata: {labels: {app: a}}, spec: {containers: [{name: app}]}}}
"""


@pytest.mark.parametrize("kind", KINDS)
def test_enable(kind: str, tmp_path: Path) -> None:
    """Label, a string, and role get onto the pod template of every kind, and onto nothing else (C31, C68)."""
    given = workload(kind, PLAIN)
    (found,) = build_from(tmp_path, consumer("enable"), app=yaml.safe_dump(given))

    expected = copy.deepcopy(given)
    metadata = expected["metadata"] if kind == "Pod" else template_of(expected)["metadata"]
    metadata["labels"][names.LABEL_ENABLED] = "True"
    metadata["annotations"] = {names.ANNOTATION_ROLE_ARN: ROLE}
    assert expected == found


@pytest.mark.parametrize("component", ["enable", *FORMS])
def test_others_untouched(component: str, tmp_path: Path) -> None:
    """What is no workload, or only sounds like one, comes out as it came; nothing of the build's own comes out."""
    found = build_from(tmp_path, consumer(component), app=OTHERS)

    assert by_kind(objects(OTHERS)) == by_kind(found)


@pytest.mark.parametrize("component", ["enable", *FORMS])
def test_no_role(component: str, tmp_path: Path) -> None:
    """Without a role the build fails and names what is missing."""
    kustomization = f"resources: [app.yaml]\ncomponents: [ROOT/components/{component}]\n"

    with pytest.raises(
        KustomizeError, match=r"nothing selected by ConfigMap\.\[noVer\]\.\[noGrp\]/imds-emulator\.\[noNs\]"
    ):
        build_from(tmp_path, kustomization, app=yaml.safe_dump(workload("Deployment", PLAIN)))


def test_role_of_an_overlay(tmp_path: Path) -> None:
    """Two overlays of one base have two roles, each said once, with prefix and namespace on top."""
    build_from(tmp_path / "base", "resources: [app.yaml]\n", app=yaml.safe_dump(workload("Deployment", PLAIN)))
    top = "resources: [../base]\nnamePrefix: {0}-\nnamespace: {0}\n"
    roles = {}
    for name in ("test", "prod"):
        role = f"arn:aws:iam::123456789012:role/{name}"
        text = consumer("enable", role).replace("resources: [app.yaml]\n", top.format(name))
        (found,) = build_from(tmp_path / name, text)
        roles[found["metadata"]["name"]] = template_of(found)["metadata"]["annotations"][names.ANNOTATION_ROLE_ARN]

    assert {
        "test-deployment": "arn:aws:iam::123456789012:role/test",
        "prod-deployment": "arn:aws:iam::123456789012:role/prod",
    } == roles


@pytest.mark.parametrize("component", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_sidecar(component: str, kind: str, tmp_path: Path) -> None:
    """Every kind's pod template becomes what the webhook would make of its pods."""
    given = workload(kind, PLAIN)

    (found,) = build_from(tmp_path, consumer(component), app=yaml.safe_dump(given))

    assert comparable(webhooks_result(enabled(given), component)) == comparable(template_of(found))


@pytest.mark.parametrize("component", FORMS)
def test_before_own_init_containers(component: str, tmp_path: Path) -> None:
    """Own init containers keep their order, after ours, or before the redirect in the classic form (C05)."""
    template = copy.deepcopy(PLAIN)
    template["spec"]["initContainers"] = [{"name": "first"}, {"name": "second"}]
    found = build_from(tmp_path, consumer(component), app=yaml.safe_dump(workload("Job", template)))
    spec = template_of(one(found, "Job"))["spec"]

    expected = {
        "sidecar": ["imds-redirect", "imds-emulator", "first", "second"],
        "sidecar-classic": ["first", "second", "imds-redirect"],
        "sidecar-env": ["imds-emulator", "first", "second"],
    }
    assert expected[component] == [container["name"] for container in spec["initContainers"]]


# A kustomization has no parameters of an installation, refuses nothing, and can't copy an annotation into a variable.
POD_CASES = [
    case
    for case in cases.cases()
    if case.parameters == cases.PARAMETERS
    and ".injected.yaml" in cases.recorded(case.name)
    and names.ANNOTATION_APP_REGION not in case.pod["metadata"]["annotations"]
]


@pytest.mark.parametrize("component", FORMS)
@pytest.mark.parametrize("case", POD_CASES, ids=lambda case: case.name)
def test_parity(component: str, case: cases.Case, tmp_path: Path) -> None:
    """Each pod file comes out of the build as the webhook would make it, and passes through the webhook unchanged."""
    pod = copy.deepcopy(case.pod)
    pod["metadata"].setdefault("name", "app")
    if component == "sidecar-env":
        without_own_endpoint(pod)
    role = pod["metadata"]["annotations"][names.ANNOTATION_ROLE_ARN].strip()
    pod["metadata"]["annotations"][names.ANNOTATION_ROLE_ARN] = role
    pod["metadata"]["annotations"].pop(names.ANNOTATION_REDIRECT, None)

    found = build_from(tmp_path, consumer(component, role), app=yaml.safe_dump(pod))

    (built,) = found
    assert comparable(webhooks_result(pod, component)) == comparable(template_of(built))
    again = pure.outcome(cases.Case("built", built, {}, DEFAULTS))
    assert (None, "") == (again.pod, again.refusal)


def test_own_endpoint(tmp_path: Path) -> None:
    """`sidecar-env` overwrites an endpoint that a container sets itself, where the webhook would leave it."""
    template = copy.deepcopy(PLAIN)
    template["spec"]["containers"][0]["env"] = [{"name": names.ENV_SERVICE_ENDPOINT, "value": "http://own"}]
    found = build_from(tmp_path, consumer("sidecar-env"), app=yaml.safe_dump(workload("Job", template)))

    assert [{"name": names.ENV_SERVICE_ENDPOINT, "value": "http://127.0.0.1:16925"}] == template_of(one(found, "Job"))[
        "spec"
    ]["containers"][0]["env"]


def test_empty_env(tmp_path: Path) -> None:
    """`sidecar-env` passes a container by whose `env` is null: kustomize does not create below that."""
    template = copy.deepcopy(PLAIN)
    template["spec"]["containers"][0]["env"] = None
    found = build_from(tmp_path, consumer("sidecar-env"), app=yaml.safe_dump(workload("Job", template)))

    assert template_of(one(found, "Job"))["spec"]["containers"][0]["env"] is None


def without_own_endpoint(pod: Object) -> None:
    """Take out what `sidecar-env` does otherwise: own endpoints, and null in place of a list."""
    for container in [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]:
        if container.get("env") is None:
            container.pop("env", None)
        else:
            container["env"] = [entry for entry in container["env"] if entry["name"] != names.ENV_SERVICE_ENDPOINT]


def by_kind(found: list[Object]) -> list[Object]:
    """Return objects in an order of their own."""
    return sorted(found, key=lambda item: str(item["kind"]))


def enabled(given: Object) -> Object:
    """Return the pod that a workload makes, with label and role."""
    pod = copy.deepcopy(template_of(given))
    pod["metadata"].setdefault("labels", {})[names.LABEL_ENABLED] = "True"
    pod["metadata"].setdefault("annotations", {})[names.ANNOTATION_ROLE_ARN] = ROLE
    return pod


def webhooks_result(pod: Object, component: str) -> Object:
    """Return what the webhook makes of a pod under the settings that a component stands for."""
    sidecar_mode, redirect_mode = FORMS[component]
    result = copy.deepcopy({key: pod[key] for key in ("metadata", "spec")})
    if redirect_mode == "env":
        result["metadata"]["annotations"][names.ANNOTATION_REDIRECT] = "env"
    patch.apply(result, patch.operations(Facts(result, {**DEFAULTS, "sidecarMode": sidecar_mode})))
    return result


def comparable(pod: Object) -> Object:
    """Return a pod with its volumes and variables by name, in whose order there is no meaning here.

    The annotation for kubectl's default container is the webhook's alone: kustomize can't copy a container's name.
    """
    result = copy.deepcopy(pod)
    result["metadata"].get("annotations", {}).pop("kubectl.kubernetes.io/default-container", None)
    result["spec"]["volumes"] = sorted(result["spec"].get("volumes", []), key=lambda volume: str(volume["name"]))
    return result

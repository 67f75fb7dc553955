"""The components for app repositories: `enable`, and the sidecar built in at build time in three forms."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING

import pytest
import yaml

from emulator import names
from emulator.injection.facts import FOLLOWING
from emulator.injection.recognition import OUR_CONTAINERS
from tests.support.kustomize.building import KustomizeError, build_from, kubectl_kustomize, kustomize, objects, one
from tests.support.kustomize.workloads import (
    COMPONENTS,
    DEFAULTS,
    FORMS,
    ROLE,
    by_name,
    comparable,
    consumer,
    injected,
    row_of,
    template_of,
)
from tests.support.pod_files import cases, pure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.kustomize.building import Object

KINDS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod")
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


def workload(kind: str, template: Object) -> Object:
    """Return a workload of a kind with a pod template."""
    row = row_of(kind)
    assert row is not None
    body = copy.deepcopy(template)
    for key in reversed(row.template):
        body = {key: body}
    metadata = {**body.pop("metadata", {}), "name": kind.lower()}
    api_version = "batch/v1" if kind == "Job" else row.api_version
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}


def with_containers(**lists: list[Object]) -> Object:
    """Return a Job whose pod has these lists in its spec."""
    template = copy.deepcopy(PLAIN)
    template["spec"].update(lists)
    return workload("Job", template)


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind(component: str, kind: str, tmp_path: Path) -> None:
    """Every kind's pod template, and it alone, gets label and role, or becomes the webhook's pod."""
    given = workload(kind, PLAIN)

    (found,) = build_from(tmp_path, consumer(component), app=yaml.safe_dump(given))

    assert comparable(injected(given, component)) == comparable(found)


@pytest.mark.parametrize("component", COMPONENTS)
def test_others_untouched(component: str, tmp_path: Path) -> None:
    """What is not a workload, or only sounds like one, comes out as it came; nothing of the build's own comes out."""
    found = build_from(tmp_path, consumer(component), app=OTHERS)

    assert by_name(objects(OTHERS)) == by_name(found)


@pytest.mark.parametrize("component", COMPONENTS)
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
    roles = {}
    for name in ("test", "prod"):
        top = f"namePrefix: {name}-\nnamespace: {name}\n"
        role = f"arn:aws:iam::123456789012:role/{name}"
        (found,) = build_from(tmp_path / name, top + consumer("enable", role, app="../base"))
        roles[found["metadata"]["name"]] = template_of(found)["metadata"]["annotations"][names.ANNOTATION_ROLE_ARN]

    assert {
        "test-deployment": "arn:aws:iam::123456789012:role/test",
        "prod-deployment": "arn:aws:iam::123456789012:role/prod",
    } == roles


@pytest.mark.parametrize("build", [kustomize, kubectl_kustomize])
@pytest.mark.parametrize("component", COMPONENTS)
def test_apps_of_one_parent(component: str, build: Callable[[Path], str], tmp_path: Path) -> None:
    """Two apps of one parent and namespace get a role each, of the same component, in one build."""
    given = workload("Deployment", PLAIN)
    roles = {name: f"arn:aws:iam::123456789012:role/{name}" for name in ("app-a", "app-b")}
    for name, role in roles.items():
        app = {**given, "metadata": {**given["metadata"], "name": name}}
        build_from(tmp_path / name, consumer(component, role), app=yaml.safe_dump(app))
    (tmp_path / "kustomization.yaml").write_text(f"namespace: team\nresources: {list(roles)}\n")

    found = objects(build(tmp_path))

    for name, role in roles.items():
        app = {**given, "metadata": {**given["metadata"], "name": name, "namespace": "team"}}
        assert comparable(injected(app, component, role)) == comparable(one(found, "Deployment", name))
    assert len(roles) == len(found)


@pytest.mark.parametrize("component", COMPONENTS)
def test_last_of_components(component: str, tmp_path: Path) -> None:
    """Listed last, as the README says, a component reaches what the others bring."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nresources: [more.yaml]\n"
    )
    more = {**workload("Deployment", PLAIN), "metadata": {"name": "more"}}
    (tmp_path / "other" / "more.yaml").write_text(yaml.safe_dump(more))
    kustomization = consumer(component).replace("components: [", "components: [other, ")

    found = build_from(tmp_path, kustomization, app=yaml.safe_dump(workload("Deployment", PLAIN)))

    assert comparable(injected(more, component)) == comparable(one(found, "Deployment", "more"))


@pytest.mark.parametrize(
    ("component", "expected"),
    {
        "sidecar": ["imds-emulator", "imds-redirect", "first", "second"],
        "sidecar-env": ["imds-emulator", "first", "second"],
    }.items(),
)
def test_own_init_containers(component: str, expected: list[str], tmp_path: Path) -> None:
    """Own init containers keep their order, after ours."""
    given = with_containers(initContainers=[{"name": "first"}, {"name": "second"}])

    (found,) = build_from(tmp_path, consumer(component), app=yaml.safe_dump(given))

    assert expected == [container["name"] for container in template_of(found)["spec"]["initContainers"]]


def test_settings_by_patch(tmp_path: Path) -> None:
    """The README's patch sets a variable of the sidecar, and `images` its image; the order stays."""
    patches = """
patches:
  - target: {kind: Job}
    patch: |-
      - op: add
        path: /spec/template/spec/initContainers/0/env/-
        value: {name: IMDS_EMULATOR_NO_PROXY, value: .internal}
images: [{name: imds-emulator/emulator, newName: reg.example/emulator, newTag: "9"}]
"""
    found = build_from(tmp_path, consumer("sidecar") + patches, app=yaml.safe_dump(with_containers()))
    emulator, redirect = template_of(one(found, "Job"))["spec"]["initContainers"]

    assert {"name": "IMDS_EMULATOR_NO_PROXY", "value": ".internal"} == emulator["env"][-1]
    assert ("imds-redirect", "reg.example/emulator:9") == (redirect["name"], emulator["image"])


def is_for_kustomize(case: cases.Case) -> bool:
    """Tell whether a case is of what a build can do.

    A build has no parameters of an installation, refuses nothing, looks at no annotation, resources or profile of a
    pod, and is given manifests, not what a controller or a webhook made of them.
    """
    metadata, spec = case.pod["metadata"], case.pod["spec"]
    profile = ((spec.get("securityContext") or {}).get("appArmorProfile") or {}).get("type")
    containers = [*spec["containers"], *(spec.get("initContainers") or [])]
    return (
        case.parameters == cases.PARAMETERS
        and ".injected.yaml" in cases.recorded(case.name)
        and resources(case.name) == resources("plain")
        and not {names.ANNOTATION_APP_REGION, names.ANNOTATION_END_WITH_APP} & metadata["annotations"].keys()
        and profile != "Localhost"
        and "ownerReferences" not in metadata
        and names.EMULATOR_CONTAINER not in [container["name"] for container in containers]
    )


def resources(name: str) -> set[str]:
    """Return what the containers that are injected into a case request, and their limits."""
    spec = yaml.safe_load(cases.recorded(name)[".injected.yaml"])["spec"]
    found = [*spec["containers"], *(spec.get("initContainers") or [])]
    return {json.dumps(each.get("resources")) for each in found if each["name"] in OUR_CONTAINERS}


POD_CASES = [case for case in cases.cases() if is_for_kustomize(case)]


@pytest.fixture(scope="module", params=FORMS)
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Object]]:
    """Build all cases at once by a component, each under its own name; the component, and name -> pod."""
    component = str(request.param)
    pods = yaml.safe_dump_all(given(case, component) for case in POD_CASES)
    found = build_from(tmp_path_factory.mktemp(component), consumer(component), app=pods)
    return component, {pod["metadata"]["name"]: pod for pod in found}


@pytest.mark.parametrize("case", POD_CASES, ids=lambda case: case.name)
def test_parity(built: tuple[str, dict[str, Object]], case: cases.Case) -> None:
    """Each pod file comes out of the build as the webhook makes it, which then changes the pod's own words alone."""
    component, pods = built

    found = pods[case.name.lower()]

    assert comparable(injected(given(case, component), component)) == comparable(found)
    again = pure.outcome(cases.Case("built", found, {}, DEFAULTS))
    assert "" == again.refusal
    assert without_words(found) == without_words(again.pod or found)


def without_words(pod: Object) -> Object:
    """Return the pod without the values of the emulator's variables that admission has follow the annotations."""
    pod = copy.deepcopy(pod)
    containers = [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]
    for variable in (variable for c in containers for variable in c.get("env") or ()):
        if variable["name"] in (names.ENV_OWN_ROLE_ARN, *(each.variable for each in FOLLOWING)):
            variable.pop("value", None)
            variable.pop("valueFrom", None)
    return pod


def given(case: cases.Case, component: str) -> Object:
    """Return a case's pod as a manifest of its own name, with the build's role, and without what no component reads."""
    pod = copy.deepcopy(case.pod)
    pod["metadata"]["name"] = case.name.lower()
    pod["metadata"]["annotations"] = {
        key: value for key, value in pod["metadata"]["annotations"].items() if not key.startswith("imds-emulator/")
    }
    pod["metadata"]["annotations"][names.ANNOTATION_ROLE_ARN] = ROLE
    if component == "sidecar-env":
        without_own_endpoint(pod)
    return pod


def test_own_endpoint(tmp_path: Path) -> None:
    """`sidecar-env` overwrites an endpoint that a container sets itself, where the webhook would refuse the pod."""
    own = {"name": names.ENV_SERVICE_ENDPOINT, "value": "http://own"}
    given = with_containers(containers=[{"name": "app", "env": [own]}])

    (found,) = build_from(tmp_path, consumer("sidecar-env"), app=yaml.safe_dump(given))

    expected = [{"name": names.ENV_SERVICE_ENDPOINT, "value": "http://127.0.0.1:16925"}]
    assert expected == template_of(found)["spec"]["containers"][0]["env"]


def test_empty_env(tmp_path: Path) -> None:
    """`sidecar-env` passes a container by whose `env` is null: kustomize does not create below that."""
    given = with_containers(containers=[{"name": "app", "env": None}])

    (found,) = build_from(tmp_path, consumer("sidecar-env"), app=yaml.safe_dump(given))

    assert template_of(found)["spec"]["containers"][0]["env"] is None


def without_own_endpoint(pod: Object) -> None:
    """Take out what `sidecar-env` does otherwise: own endpoints, and null in place of a list."""
    for container in [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]:
        if container.get("env") is None:
            container.pop("env", None)
        else:
            container["env"] = [entry for entry in container["env"] if entry["name"] != names.ENV_SERVICE_ENDPOINT]

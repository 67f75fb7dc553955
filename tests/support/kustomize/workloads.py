"""Pod templates in workloads, and what the webhook would make of their pods."""

from __future__ import annotations

import copy
import re
from typing import Any

import yaml

from emulator import names
from emulator.build.render.components import WORKLOADS, Workload, by_annotation
from emulator.injection import patch
from emulator.injection.facts import Facts
from tests.support.kustomize.building import ROOT, Object

ROLE = "arn:aws:iam::123456789012:role/app-role"
CONSUMER = """
resources: [{app}]
components: [ROOT/components/{component}]
configMapGenerator:
  - {{name: imds-emulator, literals: ["roleArn={role}"]}}
"""
DEFAULTS: dict[str, str] = yaml.safe_load((ROOT / "install" / "common" / "configmap.yaml").read_text())["data"]
# What a sidecar component stands for: the parameters that make the webhook do the same.
FORMS = {
    "sidecar": ("native", "iptables"),
    "sidecar-env": ("native", "env"),
}
COMPONENTS = ("enable", *FORMS)


def consumer(component: str, role: str = ROLE, app: str = "app.yaml") -> str:
    """Return the kustomization of an app that uses a component."""
    return CONSUMER.format(component=component, role=role, app=app)


def row_of(kind: str) -> Workload | None:
    """Return where a kind has its pod template, None if it has none."""
    return next((row for row in WORKLOADS if re.fullmatch(row.kinds, kind)), None)


def template_of(item: Object) -> Object:
    """Return the pod template of a workload, to change it in place; a Pod is its own."""
    row = row_of(item["kind"])
    found: Any = item
    for key in row.template if row else ():
        found = found[key]
    return dict(found) if row is None else found


def enabled(workload: Object, role: str = ROLE) -> Object:
    """Return the workload with label and role on its pod template, as the component `enable` makes it."""
    result = copy.deepcopy(workload)
    metadata = template_of(result).setdefault("metadata", {})
    metadata.setdefault("labels", {})[names.LABEL_ENABLED] = names.LABEL_ENABLED_VALUE
    metadata.setdefault("annotations", {})[names.ANNOTATION_ROLE_ARN] = role
    return result


def injected(workload: Object, component: str, role: str = ROLE, *, is_built: bool = True) -> Object:
    """Return the workload as a component should make it: for a sidecar's, with the pods that the webhook makes.

    `is_built`: by kustomize, whose sidecar reads all but the role from the annotations.
    """
    result = enabled(workload, role)
    if component == "enable":
        return result
    sidecar_mode, redirect_mode = FORMS[component]
    pod = template_of(result)
    if redirect_mode == "env":
        pod["metadata"]["annotations"][names.ANNOTATION_REDIRECT] = "env"
    given = copy.deepcopy(pod)
    if workload["kind"] in ("Job", "CronJob"):
        given["metadata"]["ownerReferences"] = [{"kind": "Job"}]  # as the Job controller will
    patch.apply(pod, patch.operations(Facts(given, {**DEFAULTS, "sidecarMode": sidecar_mode})))
    for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
        container.update(by_annotation(container) if is_built else {})
    for container in pod["spec"]["containers"]:
        for variable in container.get("env") or []:
            if variable["name"] == names.ENV_END_WITH_APP_SECONDS:
                variable["value"] = "360"  # a build can't know how many containers there are
    return result


def comparable(workload: Object) -> Object:
    """Return a workload with its pods' volumes by name, in whose order there is no meaning.

    The annotation for kubectl's default container is the webhook's alone: kustomize can't copy a container's name.
    """
    result = copy.deepcopy(workload)
    pod = template_of(result)
    pod.get("metadata", {}).get("annotations", {}).pop("kubectl.kubernetes.io/default-container", None)
    if "volumes" in pod["spec"]:
        pod["spec"]["volumes"] = sorted(pod["spec"]["volumes"], key=lambda volume: str(volume["name"]))
    return result


def by_name(found: list[Object]) -> list[Object]:
    """Return objects in an order of their own, workloads in comparable form."""
    items = [comparable(item) if row_of(item["kind"]) else item for item in found]
    return sorted(items, key=lambda item: (item["kind"], str(item["metadata"].get("name"))))

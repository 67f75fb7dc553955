"""The words of manifests/components: what an app repository's kustomization is given, for every kind of workload.

These are patches for the pod template of each kind, and what the injection adds to a pod, taken from an injected one.
"""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from emulator import names
from emulator.injection import patch
from emulator.injection.facts import FOLLOWING, Facts

Object = dict[str, Any]


@dataclass(frozen=True)
class Workload:
    """Kinds whose pod template is at the same place; `kinds` is a regular expression, as kustomize's targets have."""

    kinds: str
    api_version: str
    template: tuple[str, ...]

    def patch(self, template: Object) -> Object:
        """Return a strategic merge patch of the pod template; the name is any, since the target selects."""
        body = template
        for key in reversed(self.template):
            body = {key: body}
        head = {"apiVersion": self.api_version, "kind": self.kinds.split("|")[0]}
        return {**head, **body, "metadata": {"name": "any", **body.get("metadata", {})}}

    def path(self, field: str) -> str:
        """Return the field path of a replacement."""
        return ".".join([*self.template, field])

    def pointer(self, field: str) -> str:
        """Return the JSON pointer (RFC 6901) of a patch."""
        return "/".join(["", *self.template, field])


WORKLOADS = (
    Workload("Deployment|StatefulSet|DaemonSet|ReplicaSet", "apps/v1", ("spec", "template")),
    Workload("Job", "batch/v1", ("spec", "template")),
    Workload("CronJob", "batch/v1", ("spec", "jobTemplate", "spec", "template")),
    Workload("Pod", "v1", ()),
)


def words(parameters: dict[str, str]) -> Object:
    """Return word -> data, for the templates of the components."""
    return {
        "workloads": WORKLOADS,
        # Older kustomize, 5.5 among them, takes no regular expression to select by, and would select nothing.
        "kinds": [(kind, workload) for workload in WORKLOADS for kind in workload.kinds.split("|")],
        "native": added(parameters, "iptables"),
        "env": added(parameters, "env"),
        "role_variable": role_variable,
        "endpoint": f"http://127.0.0.1:{parameters['port']}",
        "forget": forget,
    }


def forget(name: str) -> Object:
    """Return a transformer that removes a ConfigMap from the build; transformers run after replacements."""
    patch = {"$patch": "delete", "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    return {
        "apiVersion": "builtin",
        "kind": "PatchTransformer",
        "metadata": {"name": f"forget-{name}"},
        "target": {"kind": "ConfigMap", "name": name},
        "patch": json.dumps(patch),
    }


def role_variable(containers: str) -> str:
    """Return the field path, from the pod's template on, of the role in the emulator's variables."""
    return f"spec.{containers}.[name={names.EMULATOR_CONTAINER}].env.[name={names.ENV_OWN_ROLE_ARN}].value"


def by_annotation(container: Object) -> Object:
    """Return the emulator's variables with those by the downward API that follow an annotation; {} for another's.

    A build can't copy an annotation's text into a variable; only the role it knows.
    """
    if container["name"] != names.EMULATOR_CONTAINER:
        return {}
    keys = {each.variable: each.annotation for each in FOLLOWING}
    return {
        "env": [
            {
                "name": each["name"],
                "valueFrom": {"fieldRef": {"fieldPath": f"metadata.annotations['{keys[each['name']]}']"}},
            }
            if each["name"] in keys
            else each
            for each in container["env"]
        ]
    }


def added(parameters: dict[str, str], redirect_mode: str) -> Object:
    """Return what the injection of a native sidecar adds to a pod's spec: fields, and items of lists.

    Two containers stand for any number: what the injection does for a pod of one alone is a matter of seconds.
    """
    annotations = {names.ANNOTATION_ROLE_ARN: ""}  # a replacement fills in the role
    own = [{"name": "app"}, {"name": "other"}]
    pod: Object = {"metadata": {"annotations": annotations}, "spec": {"containers": own}}
    chosen = {**parameters, "sidecarMode": "native", "redirectMode": redirect_mode}
    injected = deepcopy(pod)
    patch.apply(injected, patch.operations(Facts(pod, chosen)))
    spec: Object = injected["spec"]
    for container in (*spec["initContainers"], *spec["containers"]):
        container.update(by_annotation(container))
    return {
        key: [item for item in value if item not in own] if isinstance(value, list) else value
        for key, value in spec.items()
    }

"""What a pod is: each question that rules and injection ask of it, once in Python and, beside it, in CEL.

`Pod` has the answers as attributes; `facts` completes their CEL.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

from emulator import names
from emulator.arn import ROLE_ARN_PATTERN
from emulator.injection.cel_text import annotation, text, texts, trimmed
from emulator.injection.json_values import at, maps
from emulator.injection.once import Once
from emulator.injection.recognition import (
    EMULATOR_FAULT,
    EMULATOR_VARIABLES,
    IS_FORMER,
    OUR_CONTAINERS,
    OUR_VOLUMES,
    REDIRECT_FAULT,
    REDIRECT_VARIABLES,
    emulator_faults,
    is_former,
    redirect_faults,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    T = TypeVar("T")

Object = dict[str, Any]

MIRROR_ANNOTATION = "kubernetes.io/config.mirror"  # what the kubelet puts on the API object of a static pod
OS_LABELS = ("kubernetes.io/os", "beta.kubernetes.io/os")
NODE_TERMS = ("affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms")
# Ports whose inbound connections a mesh's proxy does not get, by commas.
# Source: Istio, "Resource Annotations"; Linkerd, "Proxy Configuration".
MESH_ANNOTATIONS = {
    "istio": "traffic.sidecar.istio.io/excludeInboundPorts",
    "linkerd": "config.linkerd.io/skip-inbound-ports",
}
DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"

# Fact -> CEL over object, params, namespaceObject and the facts above it (`variables.NAME`).
VARIABLES: dict[str, str] = {}


def fact(cel: str) -> Callable[[Callable[[Any], T]], Once[T]]:
    """Give a question its CEL text."""

    def register(method: Callable[[Any], T]) -> Once[T]:
        VARIABLES[method.__name__] = cel
        return Once(method)

    return register


class Pod:
    """One pod, or the template of one."""

    def __init__(self, pod: Object) -> None:
        self.spec: Object = pod.get("spec") or {}
        self.metadata: Object = pod.get("metadata") or {}

    @fact(f"object.metadata.?labels[?{text(names.LABEL_ENABLED)}].orValue('')")
    def label(self) -> str:
        """The label's value."""
        return at(self.metadata, "labels", names.LABEL_ENABLED) or ""

    @fact("object.metadata.?annotations.orValue({})")
    def annotations(self) -> Mapping[str, str]:
        """The pod's annotations."""
        return self.metadata.get("annotations") or {}

    @fact(trimmed(annotation(names.ANNOTATION_ROLE_ARN)))
    def role_arn(self) -> str:
        """The role's ARN without the white space that YAML block text leaves around it."""
        return (self.annotations.get(names.ANNOTATION_ROLE_ARN) or "").strip(" \t\r\n")

    @fact(f"variables.role_arn.matches({text(ROLE_ARN_PATTERN)}) ? variables.role_arn.split(':')[1] : ''")
    def partition(self) -> str:
        """The ARN's partition; '' if the ARN is malformed."""
        return self.role_arn.split(":")[1] if re.fullmatch(ROLE_ARN_PATTERN, self.role_arn) else ""

    @fact("object.spec.?initContainers.orValue([])")
    def init_containers(self) -> list[Object]:
        """All init containers."""
        return maps(self.spec, "initContainers")

    @fact("object.spec.?containers.orValue([])")
    def main_containers(self) -> list[Object]:
        """All containers but the init containers."""
        return maps(self.spec, "containers")

    @fact("variables.init_containers + variables.main_containers")
    def containers(self) -> list[Object]:
        """All of both kinds."""
        return self.init_containers + self.main_containers

    @fact(f"variables.containers.filter(c, !(c.name in {texts(OUR_CONTAINERS)}))")
    def others(self) -> list[Object]:
        """The containers that are not named as ours."""
        return [c for c in self.containers if c.get("name") not in OUR_CONTAINERS]

    @fact("object.spec.?volumes.orValue([])")
    def volumes(self) -> list[Object]:
        """All volumes."""
        return maps(self.spec, "volumes")

    @fact("variables.main_containers.map(c, string(c.name))[0]")
    def first_container(self) -> str:
        """The name of the pod's own first container."""
        return str(self.main_containers[0]["name"])

    # A pod without containers is refused by the API server, but only after admission.
    @fact(f"!({text(DEFAULT_CONTAINER)} in variables.annotations) && variables.main_containers.size() > 0")
    def no_default_container(self) -> bool:
        """Does the pod lack the annotation of kubectl's default container, and have a container?"""
        return DEFAULT_CONTAINER not in self.annotations and self.main_containers != []

    @fact("object.metadata.?ownerReferences.orValue([]).exists(o, o.kind == 'Job')")
    def job(self) -> bool:
        """Is the pod a Job's?"""
        return any(owner.get("kind") == "Job" for owner in maps(self.metadata, "ownerReferences"))

    @fact("object.spec.?securityContext.?appArmorProfile.?type.orValue('') == 'Localhost'")
    def own_apparmor(self) -> bool:
        """Does the pod set an AppArmor profile?"""
        return bool(at(self.spec, "securityContext", "appArmorProfile", "type") == "Localhost")

    # A node must match one of them.
    @fact(f"object.spec.?{'.?'.join(NODE_TERMS)}.orValue([])")
    def node_terms(self) -> list[Object]:
        """What the pod's affinity requires of a node."""
        return maps(self.spec, *NODE_TERMS)

    @fact(
        "object.spec.?os.?name.orValue('') == 'windows' ? 'spec.os.name'"
        f" : {texts(OS_LABELS)}.exists(k, object.spec.?nodeSelector[?k].orValue('') == 'windows')"
        " ? 'spec.nodeSelector'"
        " : variables.node_terms.size() > 0 && variables.node_terms.all(t, t.?matchExpressions.orValue([]).exists(e,"
        f" e.key in {texts(OS_LABELS)} && (e.operator == 'In' && e.?values.orValue([]) == ['windows']"
        " || e.operator == 'NotIn' && 'linux' in e.?values.orValue([]))))"
        " ? 'spec.affinity.nodeAffinity' : ''"
    )
    def windows(self) -> str:
        """What asks for Windows, '' if nothing does."""
        if at(self.spec, "os", "name") == "windows":
            return "spec.os.name"
        if "windows" in [at(self.spec, "nodeSelector", key) for key in OS_LABELS]:
            return "spec.nodeSelector"
        terms = [maps(term, "matchExpressions") for term in self.node_terms]
        return "spec.affinity.nodeAffinity" if terms and all(any(map(_is_windows, term)) for term in terms) else ""

    @fact("variables.init_containers.map(c, string(c.name))")
    def init_names(self) -> list[str]:
        """The names of the init containers."""
        return [str(c.get("name")) for c in self.init_containers]

    @fact(f"variables.containers.filter(c, c.name == {text(names.EMULATOR_CONTAINER)})")
    def emulators(self) -> list[Object]:
        """The containers that are named as the emulator's."""
        return [c for c in self.containers if c.get("name") == names.EMULATOR_CONTAINER]

    @fact(f"variables.containers.filter(c, c.name == {text(names.REDIRECT_CONTAINER)})")
    def redirects(self) -> list[Object]:
        """The containers that are named as the redirect's."""
        return [c for c in self.containers if c.get("name") == names.REDIRECT_CONTAINER]

    @fact(f"variables.volumes.filter(v, v.name in {texts(OUR_VOLUMES)}).map(v, string(v.name))")
    def our_volumes(self) -> list[str]:
        """The volumes that are named as ours."""
        return [str(v["name"]) for v in self.volumes if v.get("name") in OUR_VOLUMES]

    @fact(f"variables.init_names.indexOf({text(names.EMULATOR_CONTAINER)})")
    def emulator_at(self) -> int:
        """The emulator's place among the init containers, -1 if it is not one of them."""
        return _index(self.init_names, names.EMULATOR_CONTAINER)

    @fact(f"variables.init_names.indexOf({text(names.REDIRECT_CONTAINER)})")
    def redirect_at(self) -> int:
        """Likewise the redirect's."""
        return _index(self.init_names, names.REDIRECT_CONTAINER)

    # These, down to `redirect_fault`, are asked for only where there is one container of the name.
    @fact("variables.emulators[0]")
    def our_emulator(self) -> Object:
        """The emulator's container."""
        return self.emulators[0]

    @fact(
        "variables.emulator_at >= 0 ? '/spec/initContainers/' + string(variables.emulator_at)"
        " : '/spec/containers/' + string(variables.main_containers.map(c, string(c.name))"
        f".indexOf({text(names.EMULATOR_CONTAINER)}))"
    )
    def emulator_path(self) -> str:
        """Its JSON pointer (RFC 6901)."""
        if self.emulator_at >= 0:
            return f"/spec/initContainers/{self.emulator_at}"
        return f"/spec/containers/{self.main_containers.index(self.our_emulator)}"

    VARIABLES.update(EMULATOR_VARIABLES)

    @fact(IS_FORMER)
    def former(self) -> bool:
        """Is its role the annotation's, as 0.1.0 had it?"""
        return is_former(self.our_emulator)

    @fact(EMULATOR_FAULT)
    def emulator_fault(self) -> str:
        """What in the emulator's container is not as injected."""
        faults = emulator_faults(self.our_emulator, is_sidecar=self.emulator_at >= 0, has_redirect=self.redirects != [])
        return next(faults, "")

    @fact("variables.redirects[0]")
    def our_redirect(self) -> Object:
        """The redirect's container."""
        return self.redirects[0]

    VARIABLES.update(REDIRECT_VARIABLES)

    @fact(REDIRECT_FAULT)
    def redirect_fault(self) -> str:
        """What in the redirect's container is not as injected."""
        return next(redirect_faults(self.our_redirect, self.our_emulator, is_sidecar=self.emulator_at >= 0), "")


def _index(texts_: list[str], wanted: str) -> int:
    return texts_.index(wanted) if wanted in texts_ else -1


def _is_windows(expression: Object) -> bool:
    """Tell whether only nodes with Windows match an expression of a node's labels."""
    if expression.get("key") not in OS_LABELS:
        return False
    values = at(expression, "values")
    if not isinstance(values, list):
        return False
    return (expression.get("operator") == "In" and values == ["windows"]) or (
        expression.get("operator") == "NotIn" and "linux" in values
    )

"""Where pods are in manifests: in a Pod, in the template of a workload, in a list of these.

Goes in: an object as decoded YAML or JSON. Comes out: its pods and pod templates, the nodes themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emulator import names
from emulator.injection.json_values import at

if TYPE_CHECKING:
    from collections.abc import Iterator

Object = dict[str, Any]

# Paths to pod templates, tried on objects of every kind: custom workloads have theirs in the same places.
TEMPLATES = (("spec", "template"), ("spec", "jobTemplate", "spec", "template"), ("template",))
# Field of a pod -> what it must be, so that the injection can be asked about it.
SHAPES = (
    (("metadata",), dict),
    (("spec",), dict),
    (("metadata", "labels"), dict),
    (("metadata", "annotations"), dict),
    (("spec", "nodeSelector"), dict),
    (("spec", "securityContext"), dict),
    (("spec", "os"), dict),
    (("spec", "containers"), list),
    (("spec", "initContainers"), list),
    (("spec", "volumes"), list),
    (("spec", "imagePullSecrets"), list),
    (("spec", "hostNetwork"), bool),
    (("spec", "hostPID"), bool),
    (("spec", "shareProcessNamespace"), bool),
)
KINDS = {dict: "map", list: "list", bool: "boolean: write true or false"}
NAMED = ("containers", "initContainers", "volumes")
LISTS_OF_CONTAINER = ("env", "ports", "volumeMounts")


@dataclass(frozen=True)
class Place:
    """A pod, or a pod template, in a manifest. `owner`: kind and name of the object that it is in."""

    owner: str
    pod: Object
    is_job: bool

    @property
    def label(self) -> Any:  # noqa: ANN401 - anything that YAML has
        """The label's value, which in a manifest may be no text."""
        return at(self.pod, "metadata", "labels", names.LABEL_ENABLED)


def places(manifest: Any) -> Iterator[Place]:  # noqa: ANN401 - anything that YAML has
    """Return the pods of an object, of whatever kind, with the objects of lists."""
    if not isinstance(manifest, dict) or not isinstance(manifest.get("kind"), str):
        return
    kind = manifest["kind"]
    if kind.endswith("List") and isinstance(manifest.get("items"), list):
        for item in manifest["items"]:
            yield from places(item)
        return
    found = [manifest] if kind == "Pod" else [at(manifest, *path) for path in TEMPLATES]
    for pod in found:
        if _is_pod(pod):
            yield Place(title(manifest), pod, kind in ("Job", "CronJob"))


def title(manifest: Object) -> str:
    """Return kind and name, as kubectl writes them."""
    given = [manifest["kind"], at(manifest, "metadata", "name") or at(manifest, "metadata", "generateName")]
    kind, name = (text if isinstance(text, str) and text.isprintable() else "?" for text in given)
    return f"{kind}/{name}"


def shape_fault(pod: Object) -> str:
    """Return what is not as the API has it, '' if all is that the injection looks at."""
    for path, kind in SHAPES:
        value = at(pod, *path)
        if not isinstance(value, kind) and (value is not None or path == ("spec",)):
            shown = f" ({value!r})" if kind is bool else ""
            return f"{'.'.join(path)}{shown} is no {KINDS[kind]}"
    for texts in ("labels", "annotations"):
        for key, value in (at(pod, "metadata", texts) or {}).items():
            if not isinstance(value, str):
                return f"metadata.{texts}[{key!r}] is no text: put it in quotes"
    for field in NAMED:
        for index, item in enumerate(at(pod, "spec", field) or []):
            if fault := _item_fault(item, f"spec.{field}[{index}]"):
                return fault
    # Their names may be left out (Kubernetes API, LocalObjectReference).
    if not all(isinstance(secret, dict) for secret in at(pod, "spec", "imagePullSecrets") or []):
        return "spec.imagePullSecrets is no list of maps"
    return ""


def _item_fault(item: Any, path: str) -> str:  # noqa: ANN401 - anything that YAML has
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        return f"{path} has no name that is a text"
    for field in LISTS_OF_CONTAINER:
        value = item.get(field)
        if value is not None and not (isinstance(value, list) and all(isinstance(entry, dict) for entry in value)):
            return f"{path}.{field} is no list of maps"
    for index, entry in enumerate(item.get("env") or []):
        if not isinstance(entry.get("name"), str):
            return f"{path}.env[{index}] has no name that is a text"
    return ""


def _is_pod(value: Any) -> bool:  # noqa: ANN401 - anything that YAML has
    return isinstance(value, dict) and isinstance(value.get("metadata"), dict) and isinstance(value.get("spec"), dict)

"""The shape of a pod: what a manifest or a request must have where the injection looks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from emulator.injection.json_values import at

if TYPE_CHECKING:
    from collections.abc import Iterator

Object = dict[str, Any]

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
KINDS = {dict: "an object", list: "a list", bool: "true or false"}
NAMED = ("containers", "initContainers", "volumes")
LISTS_OF_CONTAINER = ("env", "ports", "volumeMounts")
SHOWN_LIMIT = 100


def shape_fault(pod: Object) -> str:
    """Return what is not as the Kubernetes API has it, '' if all is that the injection looks at."""
    for path, kind in SHAPES:
        value = at(pod, *path)
        if not isinstance(value, kind) and (value is not None or path == ("spec",)):
            return _invalid(".".join(path), value, f"must be {KINDS[kind]}")
    return next(_faults(pod), "")


def _faults(pod: Object) -> Iterator[str]:
    for texts in ("labels", "annotations"):
        for key, value in (at(pod, "metadata", texts) or {}).items():
            if not isinstance(value, str):
                yield _invalid(f"metadata.{texts}[{key!r}]", value, "must be a string; quote it")
    for field in NAMED:
        for index, item in enumerate(at(pod, "spec", field) or []):
            yield from filter(None, [_item_fault(item, f"spec.{field}[{index}]")])
    for index, secret in enumerate(at(pod, "spec", "imagePullSecrets") or []):
        # Its name may be left out (Kubernetes API, LocalObjectReference).
        if not isinstance(secret, dict):
            yield _invalid(f"spec.imagePullSecrets[{index}]", secret, "must be an object")


def _item_fault(item: Any, path: str) -> str:  # noqa: ANN401 - anything that YAML has
    if not isinstance(item, dict):
        return _invalid(path, item, "must be an object")
    if not isinstance(item.get("name"), str):
        return _invalid(f"{path}.name", item.get("name"), "must be a string; quote it")
    for field in LISTS_OF_CONTAINER:
        value = item.get(field)
        if value is not None and not (isinstance(value, list) and all(isinstance(entry, dict) for entry in value)):
            return _invalid(f"{path}.{field}", value, "must be a list of objects")
    for index, entry in enumerate(item.get("env") or []):
        if not isinstance(entry.get("name"), str):
            return _invalid(f"{path}.env[{index}].name", entry.get("name"), "must be a string; quote it")
    return ""


def _invalid(path: str, value: Any, must: str) -> str:  # noqa: ANN401 - anything that YAML has
    """Return the message in the form that the API server gives its own (apimachinery, field.Error)."""
    if value is None:
        return f"{path}: Required value: {must}"
    shown = json.dumps(value, default=str)
    return f"{path}: Invalid value: {shown if len(shown) <= SHOWN_LIMIT else shown[:SHOWN_LIMIT] + '...'}: {must}"

"""The pods of this directory as test cases.

A case is NAME.yaml: a Pod; optionally a Namespace with annotations, and a ConfigMap with the parameters that differ
from parameters.yaml. Beside it lies one outcome: NAME.injected.yaml, the injected pod; NAME.refused.txt, the message;
or NAME.untouched.txt, empty; and NAME.warnings.txt if there are warnings.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

DIRECTORY = Path(__file__).parents[2] / "unit" / "pods"
PARAMETERS: dict[str, str] = yaml.safe_load((DIRECTORY / "parameters.yaml").read_text())
OUTCOMES = (".injected.yaml", ".refused.txt", ".untouched.txt", ".warnings.txt")

Object = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A pod and what surrounds it. `name`: the file's, without .yaml."""

    name: str
    pod: Object
    namespace_annotations: dict[str, str]
    parameters: dict[str, str]

    @property
    def namespace(self) -> str:
        """The namespace of the request, which the object itself may leave out."""
        return str(self.pod["metadata"].get("namespace", "team-a"))

    def review(self, operation: str = "CREATE") -> Object:
        """Return the AdmissionReview that an API server would send, around a copy of the pod."""
        request = {
            "uid": f"uid-of-{self.name}",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": self.namespace,
            "operation": operation,
            "object": copy.deepcopy(self.pod),
            "dryRun": False,
        }
        return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


@dataclass(frozen=True)
class Outcome:
    """What admission made of a case: the pod if it was injected, the message if refused, neither if left alone."""

    pod: Object | None
    refusal: str
    warnings: tuple[str, ...]

    def files(self) -> dict[str, str]:
        """Return the outcome as the files beside a case: suffix and text."""
        if self.refusal:
            files = {".refused.txt": self.refusal + "\n"}
        elif self.pod is not None:
            files = {".injected.yaml": yaml.safe_dump(self.pod, sort_keys=False, width=120, allow_unicode=True)}
        else:
            files = {".untouched.txt": ""}
        if self.warnings:
            files[".warnings.txt"] = "".join(f"{line}\n" for line in self.warnings)
        return files


def cases() -> list[Case]:
    """Return the cases, by name."""
    paths = [path for path in sorted(DIRECTORY.glob("*.yaml")) if path.name.count(".") == 1]
    return [load(path) for path in paths if path.name != "parameters.yaml"]


def load(path: Path) -> Case:
    """Return the case of a file."""
    documents: dict[str, Object] = {document["kind"]: document for document in yaml.safe_load_all(path.read_text())}
    return Case(
        name=path.stem,
        pod=documents["Pod"],
        namespace_annotations=documents.get("Namespace", {}).get("metadata", {}).get("annotations", {}),
        parameters={**PARAMETERS, **documents.get("ConfigMap", {}).get("data", {})},
    )


def recorded(name: str) -> dict[str, str]:
    """Return the files that are beside a case."""
    found = {suffix: DIRECTORY / f"{name}{suffix}" for suffix in OUTCOMES}
    return {suffix: path.read_text() for suffix, path in found.items() if path.exists()}

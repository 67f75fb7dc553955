"""What an installation of each mode puts into the API server for admission, as kustomize/install has it.

The objects are changed in one thing: policies find the parameters in the pod's namespace, so that each case can have
different ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

INSTALL = Path(__file__).parents[3] / "kustomize" / "install"
PARAMETERS = "imds-emulator-parameters"
KINDS = ("MutatingAdmissionPolicy", "ValidatingAdmissionPolicy", "MutatingWebhookConfiguration")


def objects(mode: str) -> list[Object]:
    """Return policies, bindings and webhook configurations of a mode."""
    files = [*sorted((INSTALL / "common").glob("*.yaml")), *sorted((INSTALL / mode).glob("*.yaml"))]
    found: list[Object] = [document for file in files for document in yaml.safe_load_all(file.read_text())]
    made = [each for each in found if each.get("kind", "").startswith(KINDS)]
    for reference in (each["spec"]["paramRef"] for each in made if each["kind"].endswith("Binding")):
        del reference["namespace"]
    return made


def path(made: Object) -> str:
    """Return where objects of its kind are created."""
    kind = made["kind"].lower()
    plural = kind.removesuffix("y") + "ies" if kind.endswith("y") else kind + "s"
    return f"/apis/{made['apiVersion']}/{plural}"

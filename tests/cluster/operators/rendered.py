"""The add-on as a GitOps tool renders it, with a certificate that lives for seconds, so that a test sees rotations.

In: a namespace, a folder for files. Out: objects.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import yaml

from tests.support.chart.rendering import template
from tests.support.kustomize.building import build_from

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kubernetes.kube import Object

LIFE_SECONDS = 20
SHORT = [
    {"name": f"IMDS_EMULATOR_{name}_SECONDS", "value": str(value)}
    for name, value in {"CERTIFICATE_VALIDITY": LIFE_SECONDS, "CERTIFICATE_POLL": 1}.items()
]


def chart(namespace: str, folder: Path) -> list[Object]:
    """Return the chart."""
    values = folder / "values.json"
    values.write_text(json.dumps({"extraEnv": SHORT}))
    return list(yaml.safe_load_all(template("--skip-tests", f"--values={values}", namespace=namespace)))


def base(namespace: str, folder: Path) -> list[Object]:
    """Return the kustomize base."""
    operations = [{"op": "add", "path": "/spec/template/spec/containers/0/env/-", "value": each} for each in SHORT]
    patch = [{"target": {"kind": "Deployment"}, "patch": json.dumps(operations)}]
    return build_from(folder, f"namespace: {namespace}\nresources: [ROOT/install]\npatches: {json.dumps(patch)}\n")


FORMS = {"chart": chart, "kustomize": base}


def spec(pod: Object) -> Object:
    """Return a pod's spec without the name that the API server generates for the volume of its token."""
    token = next(each["name"] for each in pod["spec"]["volumes"] if each["name"].startswith("kube-api-access"))
    same: Object = json.loads(json.dumps(pod["spec"]).replace(token, "kube-api-access"))
    return same

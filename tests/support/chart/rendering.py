"""Runs helm on the chart."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.tools import programs

CHART = Path(__file__).parents[3] / "charts" / "imds-emulator"
KUBE_VERSION = "v1.37.2"

Object = dict[str, Any]


class HelmError(Exception):
    """What helm wrote when it refused."""


def helm(*arguments: str) -> str:
    """Return what helm prints; raises HelmError with what it complains of."""
    result = subprocess.run([programs.path("helm"), *arguments], capture_output=True, text=True, check=False)
    if result.returncode:
        raise HelmError(result.stderr + result.stdout)
    return result.stdout


@cache
def template(
    *options: str,
    release: str = "imds-emulator",
    namespace: str = "imds-emulator",
    kube_version: str = KUBE_VERSION,
    chart: str = str(CHART),
) -> str:
    """Return the text of `helm template`; the same question is asked of helm once."""
    return helm("template", release, chart, "--namespace", namespace, "--kube-version", kube_version, *options)


def objects(*options: str, **where: str) -> list[Object]:
    """Return the rendered objects without those of `helm test`, in helm's order."""
    return [item for item in yaml.safe_load_all(template("--skip-tests", *options, **where)) if item]


def one(found: list[Object], kind: str, suffix: str = "") -> Object:
    """Return the only object of `kind` whose name ends in `suffix`."""
    (result,) = [item for item in found if item["kind"] == kind and item["metadata"]["name"].endswith(suffix)]
    return result


def values_file(folder: Path, text: str) -> str:
    """Return the option that gives helm these values."""
    file = folder / "values.yaml"
    file.write_text(text)
    return f"--values={file}"


def webhook(found: list[Object]) -> Object:
    """Return the only webhook of the webhook configuration."""
    (entry,) = one(found, "MutatingWebhookConfiguration")["webhooks"]
    return dict(entry)


def pod_spec(found: list[Object]) -> Object:
    """Return the spec of the webhook's pods."""
    return dict(one(found, "Deployment")["spec"]["template"]["spec"])

"""Builds kustomizations, by both programs that people have.

It returns the objects, or raises with kustomize's complaint.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.support.tools import programs

ROOT = Path(__file__).parents[3] / "kustomize"

Object = dict[str, Any]


class KustomizeError(Exception):
    """What kustomize wrote when it refused."""


def kustomize(folder: Path) -> str:
    """Return what `kustomize build` prints; raises KustomizeError with its complaint."""
    return _run([str(programs.path("kustomize")), "build", *_with_helm(), str(folder)])


def kubectl_kustomize(folder: Path) -> str:
    """Return what `kubectl kustomize` prints; raises KustomizeError with its complaint."""
    return _run([str(programs.path("kubectl")), "kustomize", *_with_helm(), str(folder)])


def objects(text: str) -> list[Object]:
    """Return the objects of a build."""
    return [item for item in yaml.safe_load_all(text) if item]


def build_from(folder: Path, kustomization: str, **files: str) -> list[Object]:
    """Write a kustomization and files (`app` is app.yaml) into a folder and build it; `ROOT` in the text is ours."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kustomization.yaml").write_text(kustomization.replace("ROOT", os.path.relpath(ROOT, folder)))
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return objects(kustomize(folder))


def one(found: list[Object], kind: str, suffix: str = "") -> Object:
    """Return the only object of `kind` whose name ends in `suffix`."""
    (result,) = [item for item in found if item["kind"] == kind and item["metadata"]["name"].endswith(suffix)]
    return result


def _with_helm() -> list[str]:
    """Let kustomize inflate charts, as app repositories do."""
    return ["--enable-helm", f"--helm-command={programs.path('helm')}"]


def _run(command: list[str]) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise KustomizeError(result.stderr)
    return result.stdout

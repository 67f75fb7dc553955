"""`imds-emulator inject --krm` as a transformer of a real kustomize."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from emulator import names
from tests.support.kustomize.building import ROOT
from tests.support.pod_files.cases import DIRECTORY, recorded
from tests.support.tools import programs

if TYPE_CHECKING:
    from pathlib import Path

TRANSFORMER = """
apiVersion: v1
kind: ConfigMap
metadata:
  name: inject
  annotations:
    config.kubernetes.io/function: |
      exec: {path: ./imds-emulator, args: [inject, --krm]}
data: {}
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Return a kustomization with the transformer, whose program is the checkout's own."""
    program_text = f'#!/bin/sh\nPYTHONPATH={ROOT.parent / "src"} exec {sys.executable} -m emulator "$@"\n'
    (tmp_path / "imds-emulator").write_text(program_text)
    (tmp_path / "imds-emulator").chmod(0o755)
    (tmp_path / "inject.yaml").write_text(TRANSFORMER)
    (tmp_path / "kustomization.yaml").write_text("resources: [app.yaml]\ntransformers: [inject.yaml]\n")
    return tmp_path


def build(app: Path) -> subprocess.CompletedProcess[str]:
    """Build as a user would who lets kustomize run programs."""
    command = [str(programs.path("kustomize")), "build", "--enable-alpha-plugins", "--enable-exec", "."]
    return subprocess.run(command, cwd=app, capture_output=True, text=True, check=False)


def test_injects(app: Path) -> None:
    """The pod comes out as the webhook makes it."""
    (app / "app.yaml").write_text((DIRECTORY / "plain.yaml").read_text())
    built = build(app)

    assert (0, yaml.safe_load(recorded("plain")[".injected.yaml"])) == (built.returncode, yaml.safe_load(built.stdout))


def test_refuses(app: Path) -> None:
    """A pod that is refused ends the build with the rule's message, and nothing is built."""
    (app / "app.yaml").write_text((DIRECTORY / "host-network.yaml").read_text())
    built = build(app)

    assert (1, "") == (built.returncode, built.stdout)
    assert f"Pod/app: {recorded('host-network')['.refused.txt']}" in built.stderr


def test_label_without_template(app: Path) -> None:
    """A label that is not in a pod template ends the build, with its path."""
    spark = {
        "apiVersion": "sparkoperator.k8s.io/v1beta2",
        "kind": "SparkApplication",
        "metadata": {"name": "app"},
        "spec": {"driver": {"labels": {names.LABEL_ENABLED: names.LABEL_ENABLED_VALUE}}},
    }
    (app / "app.yaml").write_text(yaml.safe_dump(spark))
    built = build(app)

    assert (1, "") == (built.returncode, built.stdout)
    assert f"SparkApplication/app: spec.driver.labels: label {names.LABEL_ENABLED} is not in a pod" in built.stderr


def test_warns(app: Path) -> None:
    """A pod that is warned of is built, with the warning among the results that kustomize takes."""
    (app / "app.yaml").write_text((DIRECTORY / "passing-by.yaml").read_text())
    built = build(app)

    assert (0, yaml.safe_load(recorded("passing-by")[".injected.yaml"])) == (
        built.returncode,
        yaml.safe_load(built.stdout),
    )

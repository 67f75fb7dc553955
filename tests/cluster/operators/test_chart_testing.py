"""`ct install`, as a chart's users run it: each file of `ci/` installed and tested on a real cluster."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.kubernetes.kube import program
from tests.support.kubernetes.release import CHART

if TYPE_CHECKING:
    from tests.support.kubernetes.kube import Kube
    from tests.support.reliability.figures import Figures

SUCCEEDED = "Phase:          Succeeded"
HOOKS = 4  # of `helm test` without a role: the pod, its service account, role and binding

pytestmark = pytest.mark.full_only(reason="installs the chart once for each file of ci/, on a cluster of its own")


def test_ct_install(kube: Kube, figures: Figures) -> None:
    """`ct install` by ct.yaml takes every file of the chart's `ci` values: it is installed, its `helm test` passes."""
    folders = {str(Path(program(name)).parent) for name in ("ct", "helm", "kubectl")}
    installed = subprocess.run(
        [program("ct"), "install", "--config", "ct.yaml", "--all"],
        cwd=CHART.parents[1],
        env={**os.environ, "PATH": os.pathsep.join([*folders, os.environ["PATH"]]), "KUBECONFIG": str(kube.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
    )

    said = installed.stdout + installed.stderr
    expected = len(list((CHART / "ci").glob("*-values.yaml")))
    tested = said.count(SUCCEEDED) / HOOKS
    figures.add("files of `ci` installed and tested", tested, bound=f"{expected}")
    assert installed.returncode == 0, said[-3000:]
    assert "All charts installed successfully" in said
    assert expected == tested

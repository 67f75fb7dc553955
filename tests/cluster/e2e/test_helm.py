"""What helm does with an installed release, beside installing it."""

import subprocess

from tests.support.kubernetes.kube import program
from tests.support.kubernetes.release import Release


def test_helm_test(chart: Release) -> None:
    """`helm test` has a labelled pod admitted by dry run, from inside the cluster, and leaves nothing behind."""
    where = ["--kubeconfig", str(chart.kube.kubeconfig), "--namespace", chart.namespace]

    tested = subprocess.run(
        [program("helm"), "test", chart.name, "--timeout=120s", *where], capture_output=True, text=True, check=False
    )

    there = chart.kube.kubectl("get", "pods,serviceaccounts,roles,rolebindings", "-A", "-o", "name").splitlines()
    assert (0, "") == (tested.returncode, tested.stderr)
    assert [] == [name for name in there if name.endswith(f"{chart.name}-test")]

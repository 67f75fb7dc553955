"""What a soak stands on: a new cluster, the chart with certificates that live minutes, a test STS that grants seconds.

The cluster is ended with the test. It is a new one because an API server that knew a release before, and lost it, reads
the parameters of the policies again for each pod (kubernetes/kubernetes#130887): another way than the one that it takes
in operation, and one that fails where the machine is too busy.
"""

from collections.abc import Iterator

import pytest
from pytest_helm_charts.clusters import ExistingCluster

from emulator import names
from tests.experiments.soak.stage import LIFE_SECONDS, Stage
from tests.support.clusters.provider import choose
from tests.support.kubernetes import images, sts
from tests.support.kubernetes.kube import Kube
from tests.support.kubernetes.pods import CLIENT_CONFIG, Team, roles
from tests.support.kubernetes.release import Release

_NAME = "soak"
_CERTIFICATE_SECONDS = 120  # the least with the default time between two polls is 100
_TOKEN_SECONDS = 600  # the least that Kubernetes takes

_VALUES = {
    "replicas": 2,
    "sts": {"caBundleConfigMap": CLIENT_CONFIG},
    "token": {"expirationSeconds": _TOKEN_SECONDS},
    "extraEnv": [
        {"name": names.ENV_CERTIFICATE_VALIDITY_SECONDS, "value": str(_CERTIFICATE_SECONDS)},
    ],
}


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Provide release, STS and namespace, with nothing running in it yet."""
    cluster = choose(_NAME)
    cluster.down()
    try:
        cluster.up()
        for archive in images.archives():
            cluster.load(archive)
        kube = Kube(ExistingCluster(str(cluster.kubeconfig())))
        cluster_sts = sts.deploy(kube, f"{_NAME}-sts")
        cluster_sts.set_roles(roles(_NAME))
        cluster_sts.set_faults({"answer": "normal", "lifetimeSeconds": LIFE_SECONDS})
        chart = Release(kube, "imds-emulator", f"{_NAME}-system")
        chart.install(_VALUES)
        made = Stage(Team(kube, cluster_sts, f"{_NAME}-team").prepare(), chart, cluster.enter())
        made.prefer()
        yield made
    finally:
        cluster.down()

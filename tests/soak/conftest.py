"""What a soak stands on: a cluster, the chart with certificates that live minutes, a test STS that grants seconds.

The options are those of tests/e2e. The release, the test STS and the clients are removed at the end.
"""

from collections.abc import Iterator

import pytest
from pytest_helm_charts.clusters import ExistingCluster

from emulator import names
from tests import demo
from tests.e2e import images, release, sts
from tests.e2e.conftest import kube_cluster, kube_config
from tests.e2e.kube import Kube, path
from tests.e2e.pods import CLIENT_CONFIG, Team, roles
from tests.e2e.release import Release
from tests.soak.stage import LIFE_SECONDS, Stage

__all__ = ["kube_cluster", "kube_config"]

_PREFIX = "soak"
_LEAF_SECONDS, _AUTHORITY_SECONDS = 120, 600  # the least with the default time between two looks is 100
_TOKEN_SECONDS = 600  # the least that Kubernetes takes

_VALUES = {
    "replicas": 2,
    "sts": {"caBundleConfigMap": CLIENT_CONFIG},
    "token": {"expirationSeconds": _TOKEN_SECONDS},
    "extraEnv": [
        {"name": names.ENV_LEAF_VALIDITY_SECONDS, "value": str(_LEAF_SECONDS)},
        {"name": names.ENV_CA_VALIDITY_SECONDS, "value": str(_AUTHORITY_SECONDS)},
    ],
}


@pytest.fixture
def stage(kube_cluster: ExistingCluster) -> Iterator[Stage]:
    """Provide release, STS and namespace, with nothing running in it yet."""
    kube = Kube(kube_cluster)
    node = images.provider(kube)
    if node is None:
        pytest.skip("the soak looks at processes on the node, so it needs a cluster of tests.cluster")
    demo.remove(kube)
    if found := release.others(kube, f"{_PREFIX}-system"):
        pytest.fail(f"the chart is on this cluster already: {', '.join(found)}; end it by `helm uninstall`")
    images.load(kube)
    chart = Release(kube, "imds-emulator", f"{_PREFIX}-system")
    try:
        cluster_sts = sts.deploy(kube, f"{_PREFIX}-sts")
        cluster_sts.set_roles(roles(_PREFIX))
        cluster_sts.set_faults({"answer": "normal", "lifetimeSeconds": LIFE_SECONDS})
        chart.install(_VALUES)
        team = Team(kube, cluster_sts, f"{_PREFIX}-team").prepare()
        made = Stage(team, chart, node.enter())
        made.prefer()
        yield made
    finally:
        kube.delete(path("v1", "Namespace", name=f"{_PREFIX}-team"))
        chart.uninstall()
        sts.remove(kube, f"{_PREFIX}-sts")

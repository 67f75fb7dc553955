"""The cluster of these experiments: one of its own, since they install, break and remove the chart as they like.

It is made for the session and ended with it, unless it was there before.
"""

import uuid
from collections.abc import Iterator

import pytest
from pytest_helm_charts.clusters import ExistingCluster

from emulator.build.images import build
from tests.support.clusters.provider import choose
from tests.support.kubernetes.kube import Kube, path
from tests.support.kubernetes.release import Release

CLUSTER = "ops"


@pytest.fixture(scope="session")
def kube() -> Iterator[Kube]:
    """Provide the cluster, with the product's images on it."""
    cluster = choose(CLUSTER)
    was_there = cluster.status() == ""
    cluster.up()
    kube = Kube(ExistingCluster(str(cluster.kubeconfig())))
    for archive in build.ensure(build.PRODUCT):
        cluster.load(archive)
    yield kube
    if not was_there:
        cluster.down()


@pytest.fixture
def namespace(kube: Kube) -> Iterator[str]:
    """Provide the name of a namespace that nobody has used."""
    name = f"ops-{uuid.uuid4().hex[:5]}"
    yield name
    kube.delete(path("v1", "Namespace", name=name))


@pytest.fixture
def release(kube: Kube) -> Iterator[Release]:
    """Provide a release of the chart that is not installed yet, in a namespace of its own; none outlives the test."""
    made = Release(kube, "imds-emulator", f"ops-{uuid.uuid4().hex[:5]}-system")
    yield made
    made.uninstall()

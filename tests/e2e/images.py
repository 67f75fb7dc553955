"""The images that the tests need, built and given to the node.

In: a cluster. Out: nothing; on a cluster that is neither of tests.cluster nor of kind, minikube or k3d the images have
to be there already.
"""

from pathlib import Path

from tests.cluster import foreign
from tests.cluster.provider import Provider, having
from tests.e2e import pods, sts
from tests.e2e.kube import Kube
from tests.images import build

TESTS = (build.Image(sts.IMAGE, "tests/sts/Dockerfile"), build.Image(pods.IMAGE, "tests/clients/Dockerfile"))


def archives() -> list[Path]:
    """Return the archives of all images, built where they are missing or out of date."""
    return build.ensure((*build.PRODUCT, *TESTS))


def load(kube: Kube) -> None:
    """Give the node all images."""
    node = provider(kube) or foreign.of(kube.kubeconfig)
    if node:
        for archive in archives():
            node.load(archive)


def provider(kube: Kube) -> Provider | None:
    """Return the test cluster that this is, None if it is another."""
    return having(kube.kubeconfig)

"""The images that the tests need, built and given to the node.

In: a cluster. Out: nothing; on a cluster that is neither of tests.support.clusters nor of kind, minikube or k3d the
images have to be there already.
"""

from pathlib import Path

from emulator.build.images import build
from tests.support.clusters import foreign
from tests.support.clusters.provider import Provider, having
from tests.support.kubernetes import pods, sts
from tests.support.kubernetes.kube import Kube

TESTS = (
    build.Image(sts.IMAGE, "tests/support/sts/Dockerfile"),
    build.Image(pods.IMAGE, "tests/support/clients/Dockerfile"),
)


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

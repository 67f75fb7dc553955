"""On kind, where there is a docker engine: what the other tests do on the components of this machine, in short."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from pytest_helm_charts.clusters import ExistingCluster

from emulator import names
from tests.support.clusters import node_image
from tests.support.clusters.kind import Kind
from tests.support.kubernetes import images, pods, sts
from tests.support.kubernetes.kube import Kube, path
from tests.support.kubernetes.pods import Team
from tests.support.kubernetes.release import Release, containers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.reliability.figures import Figures

CLUSTER = "short"
PREFIX = "kind-short"

pytestmark = pytest.mark.full_only(reason="makes a cluster of kind, and a node image where none can be pulled")


@pytest.fixture
def kind() -> Iterator[Kind]:
    """Provide a cluster that is not there yet; it is gone afterwards."""
    cluster = Kind(CLUSTER)
    if "node image" in cluster.refusal():
        node_image.ensure()
    if refusal := cluster.refusal():
        pytest.skip(f"provider kind: {refusal}")
    yield cluster
    cluster.down()


@pytest.mark.timeout(1800)
def test_kind(kind: Kind, figures: Figures) -> None:
    """A cluster of kind is made, takes the images, runs a pod injected in each mode, and leaves nothing behind."""
    seconds = {}
    started = time.monotonic()
    kind.up()
    seconds["to a cluster with DNS"] = time.monotonic() - started
    kube = Kube(ExistingCluster(str(kind.kubeconfig())))
    started = time.monotonic()
    images.load(kube)
    seconds["to load four images"] = time.monotonic() - started
    deployed = sts.deploy(kube, f"{PREFIX}-sts")
    deployed.set_roles(pods.roles(PREFIX))
    for mode in ("webhook", "policy"):
        release = Release(kube, "imds-emulator", f"{PREFIX}-{mode}-system")
        release.install({"mode": mode, "sts": {"region": pods.REGION, "caBundleConfigMap": pods.CLIENT_CONFIG}})
        team = Team(kube, deployed, f"{PREFIX}-{mode}").prepare()
        started = time.monotonic()
        kube.create(team.pod("app", "exec sleep infinity"))
        pod = kube.wait_ready(team.namespace, "app")
        seconds[f"to a Ready pod, mode {mode}"] = time.monotonic() - started
        told = kube.shell(team.namespace, "app", "aws sts get-caller-identity --query Arn --output text")

        assert [names.EMULATOR_CONTAINER, names.REDIRECT_CONTAINER, "app"] == containers(pod)
        assert ":assumed-role/app-role/" in told
        kube.delete(path("v1", "Namespace", name=team.namespace))
        release.uninstall()
    kind.down()

    assert "cluster short does not run" == kind.status()
    assert not kind.kubeconfig().exists()
    for what, value in seconds.items():
        figures.add(f"seconds {what}", value)

"""Settings of the chart for clusters of other kinds: host ports with a replica a node, a uid of the cluster."""

from collections.abc import Iterator
from typing import Any

import pytest

from emulator import names
from tests.cluster.e2e.answers import expected_lines, lines
from tests.support.kubernetes.kube import path
from tests.support.kubernetes.pods import CLIENTS, WAIT, Team
from tests.support.kubernetes.release import VALUES, Release

pytestmark = [pytest.mark.last, pytest.mark.usefixtures("as_before")]

UID = 1_000_700_000  # of a range as OpenShift gives a namespace
HOST_PORTS: dict[str, Any] = {
    "hostNetwork": True,
    "ports": {"webhook": 18443, "health": 18926},
    "podSecurityContext": {"runAsUser": UID, "runAsGroup": UID},
}


@pytest.fixture(scope="module")
def as_before(chart: Release) -> Iterator[None]:
    """Leave the release as the other tests want it."""
    yield
    chart.install(VALUES)


def test_host_network(team: Team, chart: Release) -> None:
    """With a replica on each node `helm upgrade --wait` finishes: a port is free before it is taken."""
    nodes = team.kube.request("GET", path("v1", "Node"))["items"]
    values = {**VALUES, **HOST_PORTS, "replicas": len([node for node in nodes if not node["spec"].get("taints")])}
    chart.install(values)
    before = {pod["metadata"]["uid"] for pod in chart.pods()}

    chart.install({**values, "podAnnotations": {"example.com/changed": "true"}})

    after = [pod for pod in chart.pods() if not pod["metadata"].get("deletionTimestamp")]
    assert len(after) == values["replicas"]
    assert before.isdisjoint(pod["metadata"]["uid"] for pod in after)


def test_user_of_the_cluster(team: Team, chart: Release) -> None:
    """An emulator that states no uid serves under the one that the cluster assigns."""
    chart.install({**VALUES, "sidecar": {**VALUES["sidecar"], "user": "cluster"}, "redirect": {"mode": "env"}})
    assigned = {"runAsUser": UID, "runAsGroup": UID, "fsGroup": UID, "runAsNonRoot": True}
    script = CLIENTS[CLIENTS.index('echo "aws ') :] + WAIT
    pod = team.kube.create(team.pod("assigned", script, securityContext=assigned))

    (emulator,) = [each for each in pod["spec"]["initContainers"] if each["name"] == names.EMULATOR_CONTAINER]
    assert "runAsUser" not in emulator["securityContext"]
    assert lines(team, "assigned", last="asked") == [*expected_lines(team, "assigned")[1:], "asked"]
